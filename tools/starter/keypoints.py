"""Keypoints: annotations in the style of COCO."""

from collections.abc import Mapping, Sequence
from typing import Any

from .coco import Annotated, annotated_in, copies, places, remarks
from .images import Sizes
from .keypoint_entries import repair_keypoints_, skeleton_of
from .mirrored_names import mirrored
from .summary import DataSummary

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
    train, val = annotated['train'], annotated['val']
    category = _category(train)
    names = category['keypoints']
    if _category(val)['keypoints'] != names:
        raise ValueError(
            f'{val.file} must have the keypoints of {train.file} in the same '
            f'order, {names}, got {_category(val)["keypoints"]}'
        )
    persons = {}
    for split, each in annotated.items():
        each.repairs.extend(
            repair_keypoints_(each.file, each.content, len(names))
        )
        persons[split] = _usable(each)
    sizes = Sizes.over(
        (round(height), round(width))
        for *_, width, height in (a['bbox'] for a in persons['train'])
    )
    swaps, flips, sides = _sides(names)
    skeleton, odd = skeleton_of(category.get('skeleton'), names)
    notes = [
        f'Keypoints: {len(names)} per {category["name"]}, '
        f'{len(persons["train"])} of them to train on ({train.file}) and '
        f'{len(persons["val"])} to evaluate on ({val.file}), boxes of '
        f'{sizes}.',
        sides,
        *odd,
        *remarks(annotated),
        'Every keypoint gets the same tolerance in OKS, sigma 0.05, and '
        'evaluation takes the annotated boxes.',
        'For boxes in place of keypoints: --task boxes.',
    ]
    facts = dict(
        **places(annotated),
        names=names,
        swaps=swaps,
        flips=flips,
        skeleton=skeleton,
    )
    return DataSummary(
        'keypoints',
        facts,
        notes,
        len(persons['train']),
        sizes,
        copies(annotated),
    )


def _category(annotated: Annotated) -> dict[str, Any]:
    """Return the one category with keypoints."""
    used = {each['category_id'] for each in annotated.content['annotations']}
    found = [
        category
        for category in annotated.content['categories']
        # Roboflow writes a category that nothing is of.
        if category.get('keypoints') or category['id'] in used
    ]
    if len(found) != 1:
        raise ValueError(
            f'{annotated.file} must have one category with keypoints, got '
            f'{len(found)}'
        )
    names = found[0].get('keypoints')
    if not names or len({str(name) for name in names}) < len(names):
        raise ValueError(
            f'{annotated.file} must have keypoints, the list of their names, '
            f'in its category {found[0]["name"]}, got {names!r}'
        )
    return {**found[0], 'keypoints': [str(name) for name in names]}


def _usable(annotated: Annotated) -> list[dict[str, Any]]:
    """Return the annotations that mmpose learns from; there has to be one."""
    annotations = annotated.content['annotations']
    seen = [each for each in annotations if any(each['keypoints'][2::3])]
    if not seen:
        raise ValueError(
            f'{annotated.file} must have keypoints that are labelled, got a '
            'visibility of 0 for all: write 2 for those that are seen, 1 for '
            "those that are hidden: annotation['keypoints'][2::3]"
        )
    found = [
        each
        for each in seen
        if min(each['bbox'][2:]) > 0 and not each['iscrowd']
    ]
    if not found:
        raise ValueError(
            f'{annotated.file} must have labelled keypoints in a box that is '
            'not empty and is no crowd (iscrowd)'
        )
    return found


def _sides(names: Sequence[str]) -> tuple[Mapping[str, str], bool, str]:
    """Return what a flip swaps, whether there may be flips, and why."""
    swaps, lonely = mirrored(names)
    paired = sum(name != other for name, other in swaps.items())
    if lonely:
        note = (
            f'{lonely[0]!r} has no keypoint of the other side, so that images '
            'are not flipped.'
        )
    elif not paired:
        note = 'No names of left and right, so that images are not flipped.'
    else:
        note = (
            f'{paired // 2} pairs of left and right, by the names: they '
            'change places when an image is flipped.'
        )
    return swaps, bool(paired and not lonely), note
