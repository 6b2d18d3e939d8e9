"""Timing networks side by side, and measuring their peak memory."""

import math
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import torch
from torch.profiler import ProfilerActivity, profile

from .runtime import Call

# Bytes to write to evict a core's private caches.
EVICTING_BYTES = 8 * 2**20
# Turns after which times may have settled; of slow calls fewer are taken.
TURNS, LEAST_TURNS = 8, 3

Key = TypeVar('Key', bound=Hashable)


def interleaved(
    calls: Mapping[Key, Call],
    device: torch.device,
    rounds: int = 10,
    warmup: int = 2,
    limit: float = math.inf,
    before: Callable[[Call], object] = lambda call: None,
) -> dict[Key, list[float]]:
    """Time several calls in turns and return the seconds of each.

    If the machine slows down, it thus slows down all of them.

    Args:
        calls: Calls by name.
        device: Device that they run on.
        rounds: Number of timed rounds.
        warmup: Number of rounds before these that are not timed.
        limit: Time in seconds after which no further round begins; at least
            one is timed.
        before: What is done with a call each time before it is timed.
    """
    times: dict[Key, list[float]] = {name: [] for name in calls}
    start = time.perf_counter()
    for turn in range(warmup + rounds):
        if turn > warmup and time.perf_counter() - start > limit:
            break
        for name, call in calls.items():
            before(call)
            times[name].append(seconds(call, device))
    return {name: taken[warmup:] for name, taken in times.items()}


def settled(
    calls: Mapping[Key, Call],
    device: torch.device,
    limit: float,
    spread: float = 0.01,
    warm: bool = True,
) -> dict[Key, float]:
    """Return the median seconds of calls that take turns until they settle.

    Args:
        calls, device: See :func:`interleaved`.
        limit: Time in seconds after which no further turns are taken, but for
            the least, which is 3.
        spread: Standard error of each median, as a share of it, to reach.
        warm: Whether each call runs once untimed before, so that its data are
            cached, as in a network that runs again and again. A part of a
            network finds other data in the caches.
    """
    others = torch.zeros(EVICTING_BYTES // 4, device=device)

    def before(call: Call) -> None:
        if warm:
            call()
        else:
            others.add_(1)

    times: dict[Key, list[float]] = {name: [] for name in calls}
    start = time.perf_counter()
    interleaved(calls, device, 0, warmup=1, before=before)
    count = int(limit / (time.perf_counter() - start))
    count = max(LEAST_TURNS, min(TURNS, count))
    warmup = int(count == TURNS)  # what is slow is warm after one call
    while True:
        turns = interleaved(calls, device, count, warmup, before=before)
        for name, taken in turns.items():
            times[name] += taken
        warmup = 0
        unsettled = any(_spread(taken) > spread for taken in times.values())
        if not unsettled or time.perf_counter() - start > limit:
            break
    return {name: statistics.median(taken) for name, taken in times.items()}


def _spread(taken: Sequence[float]) -> float:
    """Return the relative standard error of a median, from quartiles."""
    low, middle, high = statistics.quantiles(taken, n=4)
    return (high - low) / middle / math.sqrt(len(taken))


def seconds(function: Call, device: torch.device) -> float:
    """Return the seconds of one call, including all its work on a GPU."""
    _wait(device)
    start = time.perf_counter()
    function()
    _wait(device)
    return time.perf_counter() - start


def peak_memory(function: Call, device: torch.device) -> int:
    """Return the peak of the bytes that torch allocates during a call.

    What was allocated before the call does not count.
    """
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(
        activities=[ProfilerActivity.CPU], profile_memory=True
    ) as profiler:
        function()
    events = [
        event
        for event in profiler.profiler.kineto_results.events()
        if event.name() == '[memory]'
    ]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def _wait(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
