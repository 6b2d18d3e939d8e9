"""Work that needs no timing, in several processes."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_all_start_methods, get_context
from typing import Any, TypeVar

import torch

Result = TypeVar('Result')
_calls: Sequence[Callable[[], object]] = ()


def on_all_cores(calls: Sequence[Callable[[], Result]]) -> Iterator[Result]:
    """Yield what calls return, in their order, as soon as it is there.

    Each is made in a process forked from this one, as the workers of a data
    loader are; where there is no fork, one after the other in this process.

    Raises:
        RuntimeError: If a process is killed.
    """
    global _calls
    cores = len(os.sched_getaffinity(0)) if _forks() else 1
    if min(cores, len(calls)) < 2:
        yield from (call() for call in calls)
        return
    _calls = calls
    try:
        fork = get_context('fork')
        with ProcessPoolExecutor(cores, fork, _begin) as pool:
            yield from pool.map(_make, range(len(calls)))
    except BrokenProcessPool as error:
        raise RuntimeError(
            'a process that prepared networks was killed; the usual reason is '
            'that the memory was full'
        ) from error
    finally:
        _calls = ()


def _forks() -> bool:
    return 'fork' in get_all_start_methods() and hasattr(
        os, 'sched_getaffinity'
    )


def _begin() -> None:
    """Take one thread, and no GPU: a fork cannot go on with its parent's.

    torch's exporter would ask the GPU for the state of its generator.
    """
    torch.set_num_threads(1)
    torch.cuda.is_available = lambda: False


def _make(index: int) -> Any:
    return _calls[index]()
