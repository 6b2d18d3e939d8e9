"""The recipe of a search: its size and its length, for the data."""

from dataclasses import dataclass
from typing import Any

import torch

from .summary import DataSummary

# Pixels of an image in training: where there is a GPU, and without.
MAX_PIXELS = (512 * 512, 192 * 256)
STEP = 32  # the lowest resolution of four branches
BATCH = dict(
    label_maps=8, keypoints=16, class_folders=16, boxes=8, lidar_boxes=2
)
# Iterations with a GPU and without, and passes over the data.
MAX_ITERATIONS, PASSES = (20_000, 1200), 60


@dataclass(frozen=True)
class Recipe:
    """A proposed search; see :func:`recipe_for`.

    Args:
        size: Height and width of the input in pixels.
        batch_size: Images per iteration.
        iterations: Length of the run.
        target: What the network may cost, as a config writes it.
        notes: What was assumed, in sentences.
    """

    size: tuple[int, int]
    batch_size: int
    iterations: int
    target: float | str
    notes: list[str]

    @property
    def ema_momentum(self) -> float:
        """Momentum of averages over a 24th of the run, or 10 000 steps."""
        return round(min(max(24 / self.iterations, 1e-4), 0.05), 4)


def recipe_for(
    summary: DataSummary, target: float | str, **wanted: Any
) -> Recipe:
    """Propose size, batch size and length of a search, and say why.

    Args:
        summary: Summary of the data.
        target: Target of the search, as a config writes it.
        wanted: ``size``, ``batch_size`` and ``iterations`` where the user
            knows better; None where not.
    """
    gpu = torch.cuda.is_available()
    batch_size = min(
        wanted.get('batch_size') or BATCH[summary.task], summary.images
    )
    iterations = wanted.get('iterations') or max(
        200,
        min(
            MAX_ITERATIONS[not gpu],
            PASSES * summary.images // batch_size,
        ),
    )
    size = wanted.get('size') or _size(summary, MAX_PIXELS[not gpu])
    notes = [
        f'Input size {size[0]}x{size[1]} (height x width), at most '
        f'{MAX_PIXELS[not gpu]} pixels on a {"GPU" if gpu else "CPU"}.',
        f'{iterations} iterations of {batch_size}: '
        f'{iterations * batch_size / summary.images:.0f} passes over the '
        'data.',
        f'Target {target}: choose it by what you can spend.',
    ]
    return Recipe(tuple(size), batch_size, iterations, target, notes)


def _size(summary: DataSummary, max_pixels: int) -> tuple[int, int]:
    """Return the median size, made smaller to a number of pixels."""
    height, width = summary.sizes.median
    if summary.task == 'class_folders':
        height = width = min(height, width)
        max_pixels //= 4
    if summary.task == 'keypoints':  # a box is cut out and resized
        height, width = 4, 3
    shrink = (max_pixels / (height * width)) ** 0.5
    if summary.task != 'keypoints':
        shrink = min(1.0, shrink)
    return (
        max(2, round(height * shrink / STEP)) * STEP,
        max(2, round(width * shrink / STEP)) * STEP,
    )
