"""The search, in plain torch: it knows no block and no framework."""

from .architecture import (
    apply_architecture_,
    architecture_in,
    architecture_of,
    read_architecture,
    write_architecture,
)
from .cost import CostModel, trace
from .penalty import ResourcePenalty, linear_warmup
from .shrink import select_alive, shrink_
from .units import Axis, Searchable, SearchUnit, Size, named_search_units

__all__ = [
    'Axis',
    'CostModel',
    'ResourcePenalty',
    'SearchUnit',
    'Searchable',
    'Size',
    'apply_architecture_',
    'architecture_in',
    'architecture_of',
    'linear_warmup',
    'named_search_units',
    'read_architecture',
    'select_alive',
    'shrink_',
    'trace',
    'write_architecture',
]
