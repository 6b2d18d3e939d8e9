"""How long a network takes for one image, side by side with others."""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from ..search.cost import evaluating


@torch.no_grad()
def latency(
    models: Sequence[nn.Module],
    input_shape: Sequence[int],
    rounds: int = 10,
    warmup: int = 2,
) -> list[float]:
    """Median milliseconds per image, at batch size 1.

    The models take turns, so that a machine that slows down slows all down.

    Args:
        models: Each is called with one tensor, on the device it is on.
        input_shape: (C, H, W).
    """
    times: list[list[float]] = [[] for _ in models]
    for _ in range(warmup + rounds):
        for model, taken in zip(models, times):
            device = next(model.parameters()).device
            image = torch.zeros(1, *input_shape, device=device)
            with evaluating(model):
                taken.append(seconds(partial(model, image), device))
    return [1000 * statistics.median(taken[warmup:]) for taken in times]


def seconds(function: Callable[[], object], device: torch.device) -> float:
    """How long one call takes, all that it has started on a GPU included."""
    _wait(device)
    start = time.perf_counter()
    function()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
