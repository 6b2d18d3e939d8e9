"""Keypoints in COCO's files: repaired where that is harmless."""

from collections.abc import Sequence
from typing import Any


def repair_keypoints_(
    file: str, content: dict[str, Any], count: int
) -> list[str]:
    """Repair the keypoints of a file in place, where that is harmless.

    Args:
        file: Name of the file, for messages.
        content: Content of the file.
        count: Number of keypoints of an annotation.

    Returns:
        What was repaired, in sentences without their subject.

    Raises:
        ValueError: If an annotation has another number of keypoints, or one
            that is no number; names it.
    """
    notes = []
    for i, annotation in enumerate(content['annotations']):
        points = annotation.get('keypoints')
        if not points:  # pycocotools needs them; mmpose passes over none
            notes.append('annotations without keypoints have none labelled')
            points = [0] * 3 * count
        if len(points) != 3 * count:
            raise ValueError(
                f'{file}: annotations[{i}] must have {3 * count} numbers, x, '
                f'y and visibility of {count} keypoints, got {len(points)}'
            )
        if None in points:
            notes.append('null is 0 where a keypoint is not labelled')
            points = _without_null(points)
        if not all(isinstance(value, (int, float)) for value in points):
            raise ValueError(
                f'{file}: annotations[{i}] must have x and y of each keypoint '
                f'whose visibility is not 0, got {annotation["keypoints"]}'
            )
        seen = sum(value > 0 for value in points[2::3])
        if annotation.get('num_keypoints') != seen:
            notes.append('num_keypoints is the number of labelled keypoints')
        annotation |= dict(keypoints=points, num_keypoints=seen)
    return list(dict.fromkeys(notes))


def _without_null(points: Sequence[float | None]) -> list[float | None]:
    whole: list[float | None] = []
    for x, y, seen in zip(points[::3], points[1::3], points[2::3]):
        whole += (x, y, seen) if seen else (0, 0, 0)
    return whole


def skeleton_of(
    links: Any, names: Sequence[str]
) -> tuple[list[list[str]], list[str]]:
    """Return the links by their names, and what was odd, in sentences.

    COCO counts keypoints from 1. Links are for drawings alone.
    """
    pairs = [link for link in links or () if _is_link(link)]
    first = 0 if any(0 in pair for pair in pairs) else 1
    inside = range(first, first + len(names))
    found = [
        [names[end - first] for end in pair]
        for pair in pairs
        if all(end in inside for end in pair)
    ]
    notes = []
    if first == 0:
        notes.append('Links of the skeleton are counted from 0.')
    left_out = len(links or ()) - len(found)
    if left_out:
        notes.append(
            'Links of the skeleton that name no two keypoints, and are left '
            f'out: {left_out}.'
        )
    return found, notes


def _is_link(link: Any) -> bool:
    return (
        isinstance(link, list)
        and len(link) == 2
        and all(type(end) is int for end in link)
    )
