"""Facts about a folder of data."""

from dataclasses import dataclass
from typing import Any

from .images import Sizes


@dataclass(frozen=True)
class DataSummary:
    """A folder's task, its size, and what its config has to say.

    Args:
        task: Name of the layout, and of the template: 'label_maps', ...
        facts: Values for the template.
        notes: What was read and what was assumed, in sentences.
        images: Number of images to train on.
        sizes: Sizes of these images.
    """

    task: str
    facts: dict[str, Any]
    notes: list[str]
    images: int
    sizes: Sizes
