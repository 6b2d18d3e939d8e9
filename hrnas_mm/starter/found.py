"""What a folder of data is: for which task, how much, of what size."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import class_folders, keypoints, label_maps
from .images import Sizes

# The most pixels of an image in training: where there is a GPU, and without.
MOST_PIXELS = (512 * 512, 192 * 256)
STEP = 32  # the lowest resolution of four branches


@dataclass(frozen=True)
class Found:
    """What a look at a folder has found.

    Args:
        task: As the template is called: 'label_maps', ...
        facts: For the template.
        notes: What was found and what was assumed, in sentences.
        images: The number of images to train on.
        sizes: Theirs.
    """

    task: str
    facts: dict[str, Any]
    notes: list[str]
    images: int
    sizes: Sizes


@dataclass(frozen=True)
class Plan:
    """What is proposed for the search; see :func:`plan_for`."""

    size: tuple[int, int]
    batch_size: int
    iterations: int
    target: float | str
    notes: list[str] = field(default_factory=list)

    @property
    def ema_momentum(self) -> float:
        """Averages over an 24th of the run, and over 10 000 steps at most."""
        return round(min(max(24 / self.iterations, 1e-4), 0.05), 4)


# In this order: what the first finds, the others need not look at.
LOOKS: dict[str, Callable[[str], Any]] = dict(
    keypoints=keypoints.look,
    class_folders=class_folders.look,
    label_maps=label_maps.look,
)


def find(root: str, task: str | None = None) -> Found:
    """Look at a folder of data.

    Args:
        root: The folder.
        task: One of :data:`LOOKS`; None to try them all.

    Raises:
        ValueError: If it is none that is known, or something in it is wrong;
            says what was expected.
    """
    for name, look in LOOKS.items():
        if task in (None, name):
            found = look(root)
            if found is not None:
                return Found(name, *found)
    raise ValueError(
        f'{root} is in no layout that is known'
        + (f' for {task}' if task else '')
        + '. Known are: '
        + '; '.join(
            (look.__doc__ or '').splitlines()[0].split(' ', 1)[1].rstrip('.')
            for look in LOOKS.values()
        )
    )
