"""From what was found to a config that trains as it is."""

from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .found import MOST_PIXELS, STEP, Found, Plan

TEMPLATES = Path(__file__).with_name('templates')
BATCH = dict(label_maps=8, keypoints=16, class_folders=16)
# Iterations: at most, with a GPU and without; and passes over the data.
MOST_ITERATIONS, PASSES = (20_000, 1200), 60


def plan_for(found: Found, target: float | str, **wanted: Any) -> Plan:
    """Propose size, batch size and length of a search, and say why.

    Args:
        found: What the data is.
        target: Of the search.
        wanted: ``size``, ``batch_size`` and ``iterations`` where the user
            knows better; None where not.
    """
    gpu = torch.cuda.is_available()
    batch_size = wanted.get('batch_size') or min(
        BATCH[found.task], found.images
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
    """The median size, made smaller to a number of pixels."""
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


def config_for(
    found: Found, root: str, target: float | str = 0.25, **wanted: Any
) -> tuple[str, list[str]]:
    """Return the text of a config, and what it assumes.

    Args:
        found: See :func:`~hrnas_mm.starter.find`.
        root: The folder of the data.
        target: Of the search.
        wanted: See :func:`plan_for`.
    """
    plan = plan_for(found, target, **wanted)
    notes = [*found.notes, *plan.notes]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters['repr'] = repr
    text = environment.get_template(f'{found.task}.py.j2').render(
        root=root.rstrip('/'),
        notes=notes,
        plan=plan,
        per_epoch=max(1, found.images // plan.batch_size),
        **found.facts,
    )
    return text, notes
