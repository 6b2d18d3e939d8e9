"""How long a network takes, side by side with others, and its memory."""

import math
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from ..search.trace import evaluating

Call = Callable[[], object]
Key = TypeVar('Key', bound=Hashable)


@torch.no_grad()
def latency(
    models: Sequence[nn.Module],
    input_shape: Sequence[int],
    rounds: int = 10,
    limit: float = 10.0,
) -> list[float]:
    """Return median milliseconds per image, at batch size 1.

    Args:
        models: All on one device; each is called with one tensor.
        input_shape: (C, H, W).
        rounds: Timed turns, at most.
        limit: Seconds after which no other turn begins.
    """
    device = next(models[0].parameters()).device
    image = torch.zeros(1, *input_shape, device=device)
    calls = {i: partial(model, image) for i, model in enumerate(models)}
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(evaluating(model))
        times = interleaved(calls, device, rounds, warmup=1, limit=limit)
    return [1000 * statistics.median(taken) for taken in times.values()]


def interleaved(
    calls: Mapping[Key, Call],
    device: torch.device,
    rounds: int = 10,
    warmup: int = 2,
    limit: float = math.inf,
) -> dict[Key, list[float]]:
    """Return the seconds of every call, the calls taking turns.

    So a machine that slows down slows all down.

    Args:
        calls: By their names.
        device: That they run on.
        rounds: So many turns are timed.
        warmup: So many before are not.
        limit: Seconds after which no other turn begins; one is timed.
    """
    times: dict[Key, list[float]] = {name: [] for name in calls}
    start = time.perf_counter()
    for turn in range(warmup + rounds):
        if turn > warmup and time.perf_counter() - start > limit:
            break
        for name, call in calls.items():
            times[name].append(seconds(call, device))
    return {name: taken[warmup:] for name, taken in times.items()}


def seconds(function: Call, device: torch.device) -> float:
    """How long one call takes, all that it has started on a GPU included."""
    _wait(device)
    start = time.perf_counter()
    function()
    _wait(device)
    return time.perf_counter() - start


def peak_memory(function: Call, device: torch.device) -> int:
    """Bytes that torch has allocated at most during a call, above before."""
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
