"""Keypoints: annotations in the style of COCO."""

from typing import Any

from .coco import annotated_in, places
from .images import Sizes
from .summary import DataSummary

LEFT_RIGHT = (('left', 'right'), ('l_', 'r_'), ('_l', '_r'))

LAYOUT = 'COCO-style keypoints: JSON of train and val, and the images'


def detect(root: str) -> DataSummary | None:
    """Summarise COCO-style keypoints, if that is what the folder has.

    Args:
        root: Folder of the data.

    Raises:
        ValueError: If a split, an image or a keypoint is missing.
    """
    annotated = annotated_in(root, 'keypoints')
    if not annotated:
        return None
    files = {split: each.file for split, each in annotated.items()}
    content = {split: each.content for split, each in annotated.items()}
    (category, *others) = content['train']['categories']
    names = category.get('keypoints')
    if not names:
        raise ValueError(
            f'{files["train"]} must have keypoints, the list of their names, '
            'in its category'
        )
    if others:
        raise ValueError(
            f'{files["train"]} must have one category with keypoints, got '
            f'{1 + len(others)}'
        )
    for each in annotated.values():
        _check_counts(each.file, each.content, len(names))
    persons = {
        split: sum(1 for a in content[split]['annotations'] if usable(a))
        for split in files
    }
    sizes = boxes_of(content['train'])
    swaps = {name: _mirrored(name, names) for name in names}
    paired = sum(name != other for name, other in swaps.items())
    notes = [
        f'Keypoints: {len(names)} per {category["name"]}, '
        f'{persons["train"]} of them to train on ({files["train"]}) and '
        f'{persons["val"]} to evaluate on ({files["val"]}), boxes of {sizes}.',
        f'{paired // 2} pairs of left and right, by the names: they change '
        'places when an image is flipped.'
        if paired
        else 'No names of left and right: nothing changes places when an '
        'image is flipped.',
        'Every keypoint gets the same tolerance in OKS, sigma 0.05, and '
        'evaluation takes the annotated boxes.',
        'For boxes in place of keypoints: --task boxes.',
    ]
    facts = dict(
        **places(annotated),
        names=names,
        swaps=swaps,
        skeleton=[
            [names[a - 1], names[b - 1]]
            for a, b in category.get('skeleton', [])
        ],
    )
    return DataSummary('keypoints', facts, notes, persons['train'], sizes)


def _check_counts(file: str, content: dict[str, Any], count: int) -> None:
    for annotation in content['annotations']:
        if len(annotation.get('keypoints', ())) != 3 * count:
            raise ValueError(
                f'{file}: annotation {annotation.get("id")} must have '
                f'{3 * count} numbers, x, y and visibility of {count} '
                f'keypoints, got {len(annotation.get("keypoints", ()))}'
            )


def usable(annotation: dict[str, Any]) -> bool:
    """Return whether something can be learned of an annotation."""
    seen = any(annotation['keypoints'][2::3])
    return seen and bool(annotation.get('bbox'))


def boxes_of(content: dict[str, Any]) -> Sizes:
    """Return the sizes of the annotated boxes."""
    boxes = (a['bbox'] for a in content['annotations'] if a.get('bbox'))
    return Sizes.over((round(h), round(w)) for _, _, w, h in boxes)


def _mirrored(name: str, names: list[str]) -> str:
    """Return the keypoint that a flip puts in this one's place."""
    for left, right in LEFT_RIGHT:
        for here, there in ((left, right), (right, left)):
            other = name.replace(here, there)
            if here in name and other in names:
                return other
    return name
