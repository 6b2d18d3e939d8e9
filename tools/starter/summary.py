"""Facts about a folder of data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
        copies: Annotation files to write and to use in place of the data's
            own, by split: text, or the content of JSON.
    """

    task: str
    facts: dict[str, Any]
    notes: list[str]
    images: int
    sizes: Sizes
    copies: Mapping[str, Any] = field(default_factory=dict)
