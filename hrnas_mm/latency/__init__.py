"""Milliseconds: tables of them, and the cost that a table predicts."""

from .builder import TableBuilder
from .cost import Latency, Milliseconds
from .networks import conditions_of, ready_networks, time_networks
from .table import LatencyTable, read_latency_table, write_latency_table
from .tuning import TunedForm, tuned_form

__all__ = [
    'Latency',
    'LatencyTable',
    'Milliseconds',
    'TableBuilder',
    'TunedForm',
    'conditions_of',
    'read_latency_table',
    'ready_networks',
    'time_networks',
    'tuned_form',
    'write_latency_table',
]
