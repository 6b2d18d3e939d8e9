"""The layouts of data that are known, and the look that finds one of them."""

from collections.abc import Callable

from . import boxes, class_folders, keypoints, label_maps, lidar_boxes
from .found import Found

# In this order: what the first finds, the others need not look at.
LOOKS: dict[str, Callable[[str], Found | None]] = {
    look.__module__.split('.')[-1]: look
    for look in (
        keypoints.look,
        boxes.look,
        lidar_boxes.look,
        class_folders.look,
        label_maps.look,
    )
}


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
                return found
    raise ValueError(
        f'{root} is in no layout that is known'
        + (f' for {task}' if task else '')
        + '. Known are: '
        + '; '.join(
            (look.__doc__ or '').splitlines()[0].split(' ', 1)[1].rstrip('.')
            for look in LOOKS.values()
        )
    )
