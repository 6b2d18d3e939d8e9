"""The layouts of data that are known, and detecting that of a folder."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from . import boxes, class_folders, keypoints, label_maps, lidar_boxes
from .summary import DataSummary


@dataclass(frozen=True)
class Layout:
    """A layout of data, which tells the task.

    Args:
        name: Name of the task, and of the template of its config.
        words: Description, for error messages.
        detect: Function that summarises a folder, or returns None if the
            folder is in another layout.
    """

    name: str
    words: str
    detect: Callable[[str], DataSummary | None]


# In this order: the first that fits is the one.
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout('keypoints', keypoints.LAYOUT, keypoints.detect),
        Layout('boxes', boxes.LAYOUT, boxes.detect),
        Layout('lidar_boxes', lidar_boxes.LAYOUT, lidar_boxes.detect),
        Layout('label_maps', label_maps.LAYOUT, label_maps.detect),
        Layout('class_folders', class_folders.LAYOUT, class_folders.detect),
    )
}


def detect(root: str, task: str | None = None) -> DataSummary:
    """Summarise a folder of data in one of the known layouts.

    Args:
        root: Folder of the data.
        task: One of :data:`LAYOUTS`; None to try them all.

    Raises:
        ValueError: If it is in no known layout, or something in it is wrong;
            the message says what was expected.
    """
    tried = [LAYOUTS[task]] if task else list(LAYOUTS.values())
    for layout in tried:
        summary = layout.detect(root)
        if summary is not None:
            return summary
    raise ValueError(
        f'{root} is in no layout that is known'
        + (f' for {task}' if task else '')
        + (". VOC's XML has to become COCO's JSON" * _has_xml(root))
        + '. Known: '
        + '; '.join(layout.words for layout in tried)
    )


def _has_xml(root: str) -> bool:
    return any(
        name.endswith('.xml')
        for _, _, names in os.walk(root, followlinks=True)
        for name in names
    )
