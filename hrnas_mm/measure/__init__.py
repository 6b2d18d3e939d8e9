"""Measuring the time, memory and costs of models of any framework."""

from .counting import cost_model_of, input_shape_of, stage_names
from .stopwatch import interleaved, latency, peak_memory, seconds

__all__ = [
    'cost_model_of',
    'input_shape_of',
    'interleaved',
    'latency',
    'peak_memory',
    'seconds',
    'stage_names',
]
