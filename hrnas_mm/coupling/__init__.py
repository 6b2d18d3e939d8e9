"""Which channels of a network belong together, found in one forward pass."""

from .finding import Coupling, find_coupling
from .flow import Layer
from .layers import TensorName, positions_of
from .marks import Place, Source

__all__ = [
    'Coupling',
    'Layer',
    'Place',
    'Source',
    'TensorName',
    'find_coupling',
    'positions_of',
]
