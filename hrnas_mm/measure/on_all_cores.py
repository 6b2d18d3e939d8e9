"""Work that needs no timing, in several processes."""

import os
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_all_start_methods, get_context
from typing import TypeVar

import torch

Result = TypeVar('Result')
_calls: Sequence[Callable[[], object]] = ()


def on_all_cores(calls: Sequence[Callable[[], Result]]) -> Iterator[Result]:
    """Yield what calls return, in their order, as soon as it is there.

    Each is made in a process forked from this one, as the workers of a data
    loader are; where there is no fork, one after the other in this process.
    """
    global _calls
    cores = len(os.sched_getaffinity(0)) if _forks() else 1
    if min(cores, len(calls)) < 2:
        yield from (call() for call in calls)
        return
    _calls = calls
    try:
        context = get_context('fork')
        with context.Pool(cores, torch.set_num_threads, (1,)) as pool:
            yield from pool.imap(_make, range(len(calls)))
    finally:
        _calls = ()


def _forks() -> bool:
    return 'fork' in get_all_start_methods() and hasattr(
        os, 'sched_getaffinity'
    )


def _make(index: int) -> object:
    return _calls[index]()
