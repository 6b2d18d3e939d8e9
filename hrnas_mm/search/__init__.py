"""The search in plain torch, independent of all blocks and frameworks."""

from .architecture import (
    apply_architecture_,
    architecture_in,
    architecture_of,
    check_architecture,
    fitting_architecture,
)
from .baselines import random_architecture, uniform_architecture
from .budget import Budget, parse_budget
from .controller import BudgetController, Controller
from .cost import COSTS, REPORTED, Cost, Eq6, Macs, Params
from .cost_model import CostModel
from .cut import Cut
from .cut_one_by_one import OneByOne
from .cut_removals import BestRemovals
from .descent import Descent
from .description import (
    Description,
    describe_architecture,
    read_architecture,
    read_description,
    write_architecture,
)
from .formulas import count_params
from .optimizer import check_optimizer, try_out
from .penalty import ResourcePenalty
from .ranking import Ranking
from .schedule import Schedule, linear_warmup
from .shrink import importances, select_alive, shrink_
from .trace import Trace, trace
from .units import (
    Axis,
    Part,
    Searchable,
    SearchUnit,
    Size,
    named_parts,
    named_search_units,
)

__all__ = [
    'COSTS',
    'REPORTED',
    'Axis',
    'BestRemovals',
    'Budget',
    'BudgetController',
    'Controller',
    'Cost',
    'CostModel',
    'Cut',
    'Descent',
    'Description',
    'Eq6',
    'Macs',
    'OneByOne',
    'Params',
    'Part',
    'Ranking',
    'ResourcePenalty',
    'Schedule',
    'SearchUnit',
    'Searchable',
    'Size',
    'Trace',
    'apply_architecture_',
    'architecture_in',
    'architecture_of',
    'check_architecture',
    'check_optimizer',
    'count_params',
    'describe_architecture',
    'fitting_architecture',
    'importances',
    'linear_warmup',
    'named_parts',
    'named_search_units',
    'parse_budget',
    'random_architecture',
    'read_architecture',
    'read_description',
    'select_alive',
    'shrink_',
    'trace',
    'try_out',
    'uniform_architecture',
    'write_architecture',
]
