"""Semantic segmentation: images, and maps of class numbers beside them."""

import os.path as osp
from collections.abc import Mapping

from hrnas_mm.image_headers import Header, turned, turns
from hrnas_mm.spelling import counted

from .class_names import names_in
from .image_checks import look_at
from .images import Sizes
from .label_files import IGNORED, Labels, labels_in
from .label_pairs import pairs_in
from .pairing import Pairs
from .summary import DataSummary

LAYOUT = (
    'label maps: img_dir/{train,val} and ann_dir/{train,val}, or '
    '{train,val}/images and {train,val}/masks'
)
MOST_IN_ONE = 64  # labels; a lossy map has any number


def detect(root: str) -> DataSummary | None:
    """Summarise label maps, if that is what the folder has.

    Any names will do, if images and labels can be told, by their folders or
    their own names.

    Args:
        root: Folder of the data.

    Raises:
        ValueError: If labels are missing or out of range, or do not lie on
            their image; names the file.
    """
    pairs = pairs_in(root)
    if not pairs:
        return None
    looks = {split: _look(root, each) for split, each in pairs.items()}
    found = {split: labels for split, (_, labels, _) in looks.items()}
    classes, notes = _classes(root, found)
    headers, *_ = looks['train']
    odd = [note for _, _, notes in looks.values() for note in notes]
    sizes = Sizes.over(header.size for header in headers)
    train, val = pairs['train'], pairs['val']
    notes = [
        'Semantic segmentation: '
        f'{counted(len(train.names), "image")} to train on '
        f'({train.images}) and {len(val.names)} to evaluate on '
        f'({val.images}), {sizes}; labels in {train.labels}.',
        *notes,
        *odd,
    ]
    facts = dict(
        folders={s: (p.images, p.labels) for s, p in pairs.items()},
        suffixes={split: each.suffixes for split, each in pairs.items()},
        files={split: each.listed for split, each in pairs.items()},
        classes=classes,
    )
    copies = {
        split: '\n'.join([*each.lines, ''])
        for split, each in pairs.items()
        if each.lines
    }
    return DataSummary(
        'label_maps', facts, notes, len(train.names), sizes, copies
    )


def _look(
    root: str, pairs: Pairs
) -> tuple[list[Header], list[Labels], list[str]]:
    """Look at all images and label maps of a split."""
    headers, notes = look_at(osp.join(root, pairs.images), pairs.names)
    folder = osp.join(root, pairs.labels)
    paths = [osp.join(folder, pairs.label_of(name)) for name in pairs.names]
    labels = list(labels_in(paths))
    for header, each in zip(headers, labels):
        _check_grid(header, each)
    return headers, labels, notes


def _check_grid(header: Header, labels: Labels) -> None:
    """Raise ValueError if a label map does not lie on its image.

    mmcv turns a photo by EXIF, but not its label map. Whether the two fit is
    not to be seen where the turn leaves the size as it is.
    """
    if labels.size == header.size != header.stored:
        return
    does_turn = turns(header)
    if does_turn and labels.size == header.stored:
        raise ValueError(turned(header))
    size = header.size if does_turn else header.stored
    if labels.size != size:
        raise ValueError(
            f'{labels.path} must have the size of its image, '
            f'{"x".join(map(str, size))} (height x width), got '
            f'{"x".join(map(str, labels.size))}'
        )


def _classes(
    root: str, looks: Mapping[str, list[Labels]]
) -> tuple[list[str], list[str]]:
    """Return the names of the classes, and what was assumed."""
    values = {
        split: {value: each.path for each in labels for value in each.values}
        for split, labels in looks.items()
    }
    found = {
        value: path for each in values.values() for value, path in each.items()
    }
    labels = sorted(value for value in found if value != IGNORED)
    _check_foreground(values)
    notes = []
    if IGNORED in found:
        notes.append(f'Pixels of label {IGNORED} are ignored.')
    new = sorted(values['val'].keys() - values['train'].keys() - {IGNORED})
    if new:
        notes.append(
            f'Of label {_list(new)}, pixels are in val only: nothing is '
            'learned of it.'
        )
    path = osp.join(root, 'classes.txt')
    if osp.isfile(path):
        names = names_in(path)
        for label in labels:
            if label >= len(names):
                raise ValueError(
                    f'{found[label]} has the label {label}, but {path} has '
                    f'{len(names)} names, for 0 to {len(names) - 1}'
                )
        return names, [
            *notes,
            f'{counted(len(names), "class")}, named in {path}.',
        ]
    count = labels[-1] + 1
    gaps = [label for label in range(count) if label not in found]
    _check_numbers(found, [each for part in looks.values() for each in part])
    notes.append(
        f'{counted(count, "class")}, as labels go from {labels[0]} '
        f'to {labels[-1]}; a classes.txt with a name per line would name them.'
    )
    if gaps:
        notes.append(f'No pixel has the label {_list(gaps)}.')
    return [f'class {label}' for label in range(count)], notes


def _check_foreground(values: Mapping[str, Mapping[int, str]]) -> None:
    """Raise ValueError if there is nothing to tell from the background."""
    found = {v: path for each in values.values() for v, path in each.items()}
    splits = [each for each in values.values() if IGNORED in each]
    if any(not each.keys() - {0, IGNORED} for each in splits) and (
        len(splits) < len(values) or not found.keys() - {0, IGNORED}
    ):
        raise ValueError(
            f'{splits[0][IGNORED]} has the labels 0 and {IGNORED} only, and '
            f'{IGNORED} means a pixel that is ignored: write 1 for the '
            'foreground'
        )
    if not found.keys() - {0}:
        raise ValueError(
            f'{found[0]} and all other label maps must have more labels than '
            '0, or there is nothing to tell apart'
        )


def _check_numbers(found: Mapping[int, str], maps: list[Labels]) -> None:
    """Raise ValueError if labels look like grey values."""
    most = max(maps, key=lambda labels: len(labels.values))
    meant = 'if they are meant, name them all in a classes.txt, one per line'
    if len(most.values) > MOST_IN_ONE:
        raise ValueError(
            f'{most.path} must have the numbers of classes, got '
            f'{len(most.values)} different ones, as a lossy or resized file '
            f'has them; {meant}'
        )
    last = max(found.keys() - {IGNORED})
    there = len(found.keys() - {IGNORED})
    if last + 1 > 2 * there:
        raise ValueError(
            f'{found[last]} has the label {last}, but of 0 to {last} only '
            f'{there} occur: number the classes 0, 1, 2 and so on; {meant}'
        )


def _list(labels: list[int]) -> str:
    return ', '.join(map(str, labels))
