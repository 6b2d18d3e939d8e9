"""The record of a search, and the tables, pictures and page drawn from it."""

from .curves import plot_search
from .page import write_report
from .pareto import plot_pareto
from .pies import Network, animate_search, draw_architectures
from .record import Record, read_record, write_record
from .tables import Table

__all__ = [
    'Network',
    'Record',
    'Table',
    'animate_search',
    'draw_architectures',
    'plot_pareto',
    'plot_search',
    'read_record',
    'write_record',
    'write_report',
]
