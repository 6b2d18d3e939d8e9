"""Pictures of searches and architectures, and the report of a run."""

from .architecture import Network, animate_search, draw_architectures
from .comparison import plot_comparison
from .curves import plot_search
from .page import write_report
from .pareto import plot_pareto

__all__ = [
    'Network',
    'animate_search',
    'draw_architectures',
    'plot_comparison',
    'plot_pareto',
    'plot_search',
    'write_report',
]
