"""Entries of COCO's files: what frameworks need, repaired where harmless.

A field that is missing is filled in where its value is known. One that is
there and wrong is refused, as what wrote it may be wrong elsewhere.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Content = dict[str, Any]

TEXTS = dict(images='file_name', categories='name')
KINDS = ('images', 'annotations', 'categories')
REFERRED = dict(images='image_id', categories='category_id')
AREA = "annotation['area'] = annotation['bbox'][2] * annotation['bbox'][3]"


def repair_(file: str, content: Content) -> list[str]:
    """Repair the content of a file in place, where that is harmless.

    Args:
        file: Name of the file, for messages.
        content: Content of the file.

    Returns:
        What was repaired, in sentences without their subject.

    Raises:
        ValueError: If frameworks or pycocotools could not use the file, and
            the value that it should have is not known; names the entry.
    """
    _check_entries(file, content)
    notes = [
        note for kind in REFERRED if (note := _number_(file, content, kind))
    ]
    for image in content['images']:
        if '\\' in image['file_name']:  # of Windows
            image['file_name'] = image['file_name'].replace('\\', '/')
            notes.append('names of files have / between folders')
    annotations = content['annotations']
    for i, annotation in enumerate(annotations):
        _check_box(f'{file}: annotations[{i}]', annotation)
    ids = [annotation.get('id') for annotation in annotations]
    if not all(_is_whole(i) and i > 0 for i in ids) or _repeated(ids):
        notes.append('annotations are numbered from 1')
        for i, annotation in enumerate(annotations, 1):
            annotation['id'] = i
    if _fill_(annotations, 'iscrowd', lambda annotation: 0, null=True):
        notes.append('iscrowd, which was not there, is 0')
    if _fill_(annotations, 'area', _box_area):
        notes.append("area, which was not there, is the box's")
    for i, annotation in enumerate(annotations):
        _check_area(f'{file}: annotations[{i}]', annotation)
        if annotation['iscrowd'] not in (0, 1):
            raise ValueError(
                f'{file}: annotations[{i}] must have iscrowd 0 or 1, got '
                f'{annotation["iscrowd"]!r}'
            )
    return list(dict.fromkeys(notes))


def _check_entries(file: str, content: Content) -> None:
    for kind in KINDS:
        if not isinstance(content.get(kind), list) or not content[kind]:
            raise ValueError(f'{file} must have {kind}, as COCO files have')
        for i, entry in enumerate(content[kind]):
            name = f'{file}: {kind}[{i}]'
            if not isinstance(entry, dict):
                raise ValueError(f'{name} must be an object, got {entry!r}')
            if kind == 'annotations':
                needed = (*REFERRED.values(), 'bbox')
            else:
                needed = ('id', TEXTS[kind])
            for field in needed:
                if entry.get(field) is None:
                    raise ValueError(
                        f'{name} must have {field}, as COCO files have, got '
                        + ('null' if field in entry else 'none')
                    )
            text = TEXTS.get(kind)
            if text and not isinstance(entry[text], str):
                raise ValueError(
                    f'{name}.{text} must be text, got {entry[text]!r}'
                )
        if kind != 'annotations':
            twice = _repeated([_text(entry['id']) for entry in content[kind]])
            if twice:
                raise ValueError(
                    f'{file} must have an id of its own for each of its '
                    f'{kind}, got {twice} more than once'
                )


def _number_(file: str, content: Content, kind: str) -> str:
    """Number images or categories if their ids are no whole numbers.

    An id may be a number in one place and text in the other.
    """
    entries, field = content[kind], REFERRED[kind]
    ids = {_text(entry['id']): entry['id'] for entry in entries}
    whole = all(map(_is_whole, ids.values()))
    if not whole:
        ids = {name: i for i, name in enumerate(ids, 1)}
        for entry in entries:
            entry['id'] = ids[_text(entry['id'])]
    odd = False
    for i, annotation in enumerate(content['annotations']):
        value = annotation[field]
        if _text(value) not in ids:
            raise ValueError(
                f'{file}: annotations[{i}] must have the {field} of one of '
                f'the {kind}, got {value!r}'
            )
        odd |= not _is_whole(value)
        annotation[field] = ids[_text(value)]
    return f'ids of {kind} are whole numbers' if odd or not whole else ''


def _text(value: Any) -> str:
    """Return an id as it is compared: 7, 7.0 and '7' are the same."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)


def _check_box(name: str, annotation: Content) -> None:
    box = annotation['bbox']
    is_box = (
        isinstance(box, Sequence)
        and len(box) == 4
        and all(_is_number(value) for value in box)
    )
    if not is_box:
        raise ValueError(
            f'{name} must have a bbox of 4 numbers, left, top, width and '
            f'height, got {box!r}'
        )


def _check_area(name: str, annotation: Content) -> None:
    """Raise ValueError if a box would count as nothing by its area alone."""
    area = annotation['area']
    if not _is_number(area) or area <= 0 < 1 <= min(annotation['bbox'][2:]):
        raise ValueError(
            f'{name} must have an area in pixels, above 0, got '
            f'{"null" if area is None else repr(area)}; if no area is known, '
            f'write that of the boxes: {AREA}'
        )


def check_sizes(file: str, content: Content) -> None:
    """Raise ValueError if heights and widths are no whole numbers."""
    for i, image in enumerate(content['images']):
        for field in ('height', 'width'):
            value = image[field]
            if not _is_number(value) or value < 1 or value % 1:
                raise ValueError(
                    f'{file}: images[{i}] must have a {field} in pixels, got '
                    f'{"null" if value is None else repr(value)}'
                )


def _fill_(
    entries: list[Content],
    field: str,
    value: Any,
    null: bool = False,
) -> bool:
    """Give a field to the entries that lack it; return whether any does."""
    lacking = [
        entry
        for entry in entries
        if field not in entry or null and entry[field] is None
    ]
    for entry in lacking:
        entry[field] = value(entry)
    return bool(lacking)


def _box_area(annotation: Mapping[str, Any]) -> float:
    _, _, width, height = annotation['bbox']
    return width * height


def _is_whole(value: object) -> bool:
    return type(value) is int


def _is_number(value: object) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _repeated(values: Sequence[Any]) -> list[Any]:
    return [v for v, count in Counter(map(str, values)).items() if count > 1][
        :1
    ]
