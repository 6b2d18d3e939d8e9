"""Which channels of a network belong together, found in one forward pass."""

from .finding import Coupling, find_coupling
from .flow import Layer
from .layers import TensorName, positions_of
from .marks import Place, Source
from .operators import POINTWISE, SPATIAL

__all__ = [
    'POINTWISE',
    'SPATIAL',
    'Coupling',
    'Layer',
    'Place',
    'Source',
    'TensorName',
    'find_coupling',
    'positions_of',
]
