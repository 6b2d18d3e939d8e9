"""The search, in plain torch: it knows no block and no framework."""

from .architecture import (
    apply_architecture_,
    architecture_in,
    architecture_of,
    check_architecture,
    describe_architecture,
    read_architecture,
    read_description,
    write_architecture,
)
from .baselines import random_architecture, uniform_architecture
from .budget import Budget, Descent, parse_budget, select_within
from .controller import BudgetController, FixedRho
from .cost import CostModel, count_params, trace
from .penalty import ResourcePenalty, linear_warmup
from .schedule import Schedule
from .shrink import (
    check_optimizer,
    importances,
    select_alive,
    shrink_,
)
from .units import Axis, Searchable, SearchUnit, Size, named_search_units

__all__ = [
    'Axis',
    'Budget',
    'BudgetController',
    'CostModel',
    'Descent',
    'FixedRho',
    'ResourcePenalty',
    'Schedule',
    'SearchUnit',
    'Searchable',
    'Size',
    'apply_architecture_',
    'architecture_in',
    'architecture_of',
    'check_architecture',
    'check_optimizer',
    'count_params',
    'describe_architecture',
    'importances',
    'linear_warmup',
    'named_search_units',
    'parse_budget',
    'random_architecture',
    'read_architecture',
    'read_description',
    'select_alive',
    'select_within',
    'shrink_',
    'trace',
    'uniform_architecture',
    'write_architecture',
]
