"""Runtimes of deployed networks, and the timing of them."""

from .command import CommandTimer
from .profiling import profiled
from .registry import RUNTIMES
from .runtime import ALL_DTYPES, Runtime, check_device, check_packages
from .stopwatch import interleaved, peak_memory
from .timers import LocalTimer, Timer
from .torch import Eager

__all__ = [
    'ALL_DTYPES',
    'RUNTIMES',
    'CommandTimer',
    'Eager',
    'LocalTimer',
    'Runtime',
    'Timer',
    'check_device',
    'check_packages',
    'interleaved',
    'peak_memory',
    'profiled',
]
