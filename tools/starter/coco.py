"""Annotations in the style of COCO: their files, and the images they name."""

import math
import os
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hrnas_mm.files import read_json

from .images import SPLITS, image_files, split_in

FIELDS = dict(
    images=('id', 'file_name', 'height', 'width'),
    annotations=('id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd'),
    categories=('id', 'name'),
)


class Annotated(NamedTuple):
    """A split's annotations.

    Attributes:
        file: Annotation file, relative to the folder of the data.
        content: Content of the file.
        folder: Folder of the images, relative to the folder of the data.
    """

    file: str
    content: dict[str, Any]
    folder: str


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
    for _, path, content in found.values():
        _check(path, content)
    return {
        split: Annotated(path, content, _images(root, split, path, content))
        for split, (_, path, content) in found.items()
    }


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
        if name.endswith('.json')
    )


def _has(content: Any, key: str) -> bool:
    annotations = (
        content.get('annotations') if isinstance(content, dict) else None
    )
    return isinstance(annotations, list) and any(
        isinstance(each, dict) and key in each for each in annotations
    )


def _check(file: str, content: Mapping[str, Any]) -> None:
    """Raise ValueError if frameworks or pycocotools could not use a file."""
    for kind, fields in FIELDS.items():
        if not content.get(kind):
            raise ValueError(f'{file} must have {kind}, as COCO files have')
        for i, entry in enumerate(content[kind]):
            for field in fields:
                if not isinstance(entry, dict) or field not in entry:
                    raise ValueError(
                        f'{file}: {kind}[{i}] must have {field}, as COCO '
                        'files have'
                    )
    known = {
        kind: {entry['id'] for entry in content[kind]}
        for kind in ('images', 'categories')
    }
    ids: set[int] = set()
    for annotation in content['annotations']:
        name = f'{file}: annotation {annotation["id"]}'
        if annotation['id'] in ids or not annotation['id']:
            raise ValueError(
                f'{name} must have an id of its own that is not 0, which '
                'pycocotools takes for none'
            )
        ids.add(annotation['id'])
        for kind, field in (
            ('images', 'image_id'),
            ('categories', 'category_id'),
        ):
            if annotation[field] not in known[kind]:
                raise ValueError(
                    f'{name} must have the {field} of one of the {kind}, got '
                    f'{annotation[field]!r}'
                )
        if not _is_box(annotation['bbox']):
            raise ValueError(
                f'{name} must have a bbox of 4 numbers, left, top, width and '
                f'height, got {annotation["bbox"]!r}'
            )


def _is_box(box: Any) -> bool:
    return (
        isinstance(box, Sequence)
        and len(box) == 4
        and all(isinstance(v, (int, float)) and math.isfinite(v) for v in box)
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
