"""Pictures of searches and architectures, and the report of a run."""

from .architecture import Network, animate_search, draw_architectures
from .curves import plot_pareto, plot_search
from .report import write_report

__all__ = [
    'Network',
    'animate_search',
    'draw_architectures',
    'plot_pareto',
    'plot_search',
    'write_report',
]
