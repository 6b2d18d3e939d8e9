"""The outcome of a look at a folder of data."""

from dataclasses import dataclass
from typing import Any

from .images import Sizes


@dataclass(frozen=True)
class Found:
    """A folder's task, its size, and what its config has to say.

    Args:
        task: The name of the look, and of the template: 'label_maps', ...
        facts: Values for the template.
        notes: What was found and what was assumed, in sentences.
        images: The number of images to train on.
        sizes: The sizes of these images.
    """

    task: str
    facts: dict[str, Any]
    notes: list[str]
    images: int
    sizes: Sizes
