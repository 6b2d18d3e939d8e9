"""Measuring the time, memory and costs of models of any framework."""

from .counting import cost_model_of, input_shape_of, stage_names
from .profiling import PROFILERS, profiled
from .runtimes import (
    DTYPES,
    FORM,
    RUN,
    check_device,
    check_runtimes,
    devices_of,
    share_threads,
)
from .stopwatch import interleaved, latency, peak_memory, seconds

__all__ = [
    'DTYPES',
    'FORM',
    'RUN',
    'PROFILERS',
    'check_device',
    'check_runtimes',
    'cost_model_of',
    'devices_of',
    'input_shape_of',
    'interleaved',
    'latency',
    'peak_memory',
    'profiled',
    'seconds',
    'share_threads',
    'stage_names',
]
