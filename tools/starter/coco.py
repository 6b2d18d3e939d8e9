"""Annotations in the style of COCO: their files, and the images they name."""

import codecs
import os
import os.path as osp
from collections.abc import Mapping
from typing import Any, NamedTuple

from hrnas_mm.files import read_json
from hrnas_mm.image_headers import Header, turns

from .coco_entries import check_sizes, repair_
from .image_checks import look_at
from .images import SPLITS, image_files, split_in


class Annotated(NamedTuple):
    """A split's annotations.

    Attributes:
        file: Annotation file, relative to the folder of the data.
        content: Content of the file.
        folder: Folder of the images, relative to the folder of the data.
        repairs: What was repaired in the content, in sentences without their
            subject.
        notes: What may surprise in the images, in sentences.
    """

    file: str
    content: dict[str, Any]
    folder: str
    repairs: list[str]
    notes: list[str]


def annotated_in(root: str, key: str) -> dict[str, Annotated]:
    """Return the annotations of train and val that have a key.

    Args:
        root: Folder of the data.
        key: Field of the annotations in question.

    Returns:
        The annotations by split; nothing if no file has such annotations.

    Raises:
        ValueError: If a file is not as COCO's are, or a split or an image is
            missing.
    """
    found: dict[str, tuple[int, str, dict[str, Any]]] = {}
    for path in _json_files(root):
        split, rank = split_in(path)
        if split is None or (split in found and found[split][0] <= rank):
            continue
        content = read_json(osp.join(root, path))
        if _has(content, key):
            found[split] = rank, path, content
    if not found:
        return {}
    for split in SPLITS:
        if split not in found:
            files = ', '.join(path for _, path, _ in found.values())
            raise ValueError(
                f'{root} has no annotations of a split named {split!r}; '
                f'found: {files}'
            )
    return {
        split: _looked_at(root, split, *found[split][1:]) for split in SPLITS
    }


def copies(annotated: Mapping[str, Annotated]) -> dict[str, dict[str, Any]]:
    """Return by split what has to be written anew, as it was repaired."""
    return {s: each.content for s, each in annotated.items() if each.repairs}


def remarks(annotated: Mapping[str, Annotated]) -> list[str]:
    """Return what was repaired and what may surprise, in sentences."""
    repairs = [
        f'Of {each.file}, a repaired copy is used: '
        f'{"; ".join(dict.fromkeys(each.repairs))}.'
        for each in annotated.values()
        if each.repairs
    ]
    notes = [note for each in annotated.values() for note in each.notes]
    return [*repairs, *dict.fromkeys(notes)]


def places(annotated: Mapping[str, Annotated]) -> dict[str, dict[str, str]]:
    """Return files and folders by split, as a template needs them."""
    return dict(
        files={split: each.file for split, each in annotated.items()},
        folders={split: each.folder for split, each in annotated.items()},
    )


def _json_files(root: str) -> list[str]:
    return sorted(
        osp.relpath(osp.join(base, name), root)
        for base, _, names in os.walk(root, followlinks=True)
        for name in names
        if name.endswith('.json') and not name.startswith('.')
    )


def _has(content: Any, key: str) -> bool:
    annotations = (
        content.get('annotations') if isinstance(content, dict) else None
    )
    return isinstance(annotations, list) and any(
        isinstance(each, dict) and each.get(key) not in (None, [])
        for each in annotations
    )


def _looked_at(
    root: str, split: str, path: str, content: dict[str, Any]
) -> Annotated:
    """Repair annotations, and compare them with their images."""
    with open(osp.join(root, path), 'rb') as file:
        marked = file.read(3) == codecs.BOM_UTF8
    repairs = ['there is no byte order mark'] if marked else []
    repairs += repair_(path, content)
    folder = _images(root, split, path, content)
    images = content['images']
    headers, notes = look_at(
        osp.join(root, folder), [image['file_name'] for image in images]
    )
    if _fill_sizes_(images, headers):
        repairs.append('heights and widths are those of the images')
    check_sizes(path, content)
    for image, header in zip(images, headers):
        _check_size(path, image, header)
    mirrored = [
        header
        for header in headers
        if header.orientation != 1 and header.size == header.stored
    ]
    if mirrored:
        notes.append(
            'Photos that EXIF turns or mirrors when mmcv reads them: '
            f'{len(mirrored)}, such as {mirrored[0].path}; annotations have '
            'to be of what is seen then.'
        )
    return Annotated(path, content, folder, repairs, notes)


def _fill_sizes_(images: list[dict[str, Any]], headers: list[Header]) -> bool:
    """Give images a height and width where they lack one."""
    lacking = [
        (image, header)
        for image, header in zip(images, headers)
        if not {'height', 'width'} <= image.keys()
    ]
    for image, header in lacking:
        size = header.size if turns(header) else header.stored
        image['height'], image['width'] = size
    return bool(lacking)


def _check_size(file: str, image: Mapping[str, Any], header: Header) -> None:
    """Raise ValueError if an annotated image has another size than its file.

    Then its boxes and points are of that other size.
    """
    size = image['height'], image['width']
    if size == header.size != header.stored:
        return
    if header.orientation != 1 and turns(header):
        if size == header.stored != header.size:
            raise ValueError(
                f'{file} has {header.path} as it is before its EXIF '
                f'orientation, {header.orientation}, turns it, which mmcv '
                'does: remove the tag (exiftool -Orientation= FILES)'
            )
        expected = header.size
    else:
        expected = header.stored
    if size != expected:
        height, width = expected
        raise ValueError(
            f'{file} must give {header.path} the height {height} and the '
            f'width {width} of its file, got {size[0]} and {size[1]}: '
            'annotations have to be of the image as it is'
        )


def _images(
    root: str, split: str, file: str, content: Mapping[str, Any]
) -> str:
    """Return the folder in which all images of a file are.

    Of several, one that is named after the split, or has them all, or the
    file's own.
    """
    wanted = {osp.normpath(image['file_name']) for image in content['images']}
    own = osp.dirname(file) or '.'
    absent = {}
    for base, folders, _ in os.walk(root, followlinks=True):
        folders.sort()
        missing = wanted.difference(image_files(base))
        if missing != wanted:
            absent[osp.relpath(base, root)] = sorted(missing)
    if not absent:
        raise ValueError(
            f'{file} names {min(wanted)!r}, which is nowhere in {root}'
        )
    found = min(
        absent,
        key=lambda name: (
            split_in(name)[0] != split,
            bool(absent[name]),
            name != own,
        ),
    )
    if absent[found]:
        raise ValueError(
            f'{file} names {absent[found][0]!r}, which is not in '
            f'{osp.join(root, found)}'
        )
    return found
