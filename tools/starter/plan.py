"""Size and length of a search, proposed by what the data is."""

from dataclasses import dataclass
from typing import Any

import torch

from .found import Found

# The most pixels of an image in training: where there is a GPU, and without.
MOST_PIXELS = (512 * 512, 192 * 256)
STEP = 32  # the lowest resolution of four branches
BATCH = dict(
    label_maps=8, keypoints=16, class_folders=16, boxes=8, lidar_boxes=2
)
# Iterations: at most, with a GPU and without; and passes over the data.
MOST_ITERATIONS, PASSES = (20_000, 1200), 60


@dataclass(frozen=True)
class Plan:
    """A proposed search; see :func:`plan_for`.

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


def plan_for(found: Found, target: float | str, **wanted: Any) -> Plan:
    """Propose size, batch size and length of a search, and say why.

    Args:
        found: What the data is.
        target: Of the search.
        wanted: ``size``, ``batch_size`` and ``iterations`` where the user
            knows better; None where not.
    """
    gpu = torch.cuda.is_available()
    batch_size = min(
        wanted.get('batch_size') or BATCH[found.task], found.images
    )
    iterations = wanted.get('iterations') or max(
        200,
        min(
            MOST_ITERATIONS[not gpu],
            PASSES * found.images // batch_size,
        ),
    )
    size = wanted.get('size') or _size(found, MOST_PIXELS[not gpu])
    notes = [
        f'Input size {size[0]}x{size[1]} (height x width), at most '
        f'{MOST_PIXELS[not gpu]} pixels {"on a GPU" if gpu else "on a CPU"}.',
        f'{iterations} iterations of {batch_size}: '
        f'{iterations * batch_size / found.images:.0f} passes over the data.',
        f'Target {target}: choose it by what you can spend.',
    ]
    return Plan(tuple(size), batch_size, iterations, target, notes)


def _size(found: Found, most: int) -> tuple[int, int]:
    """Return the median size, made smaller to a number of pixels."""
    height, width = found.sizes.median
    if found.task == 'class_folders':
        height = width = min(height, width)
        most //= 4
    if found.task == 'keypoints':  # a box is cut out and resized
        height, width = 4, 3
    shrink = (most / (height * width)) ** 0.5
    if found.task != 'keypoints':
        shrink = min(1.0, shrink)
    return (
        max(2, round(height * shrink / STEP)) * STEP,
        max(2, round(width * shrink / STEP)) * STEP,
    )
