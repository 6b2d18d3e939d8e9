"""Annotations in the style of COCO: their files, and the images they name."""

import os
import os.path as osp
from collections.abc import Mapping
from typing import Any

from ..files import read_json
from .images import SPLITS, image_files, split_of


def annotations_in(
    root: str, key: str
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return COCO-style annotations that have a key, and their files.

    Args:
        root: The folder.
        key: What each annotation has.

    Returns:
        By split: the file, relative to the folder, and what is in it.

    Raises:
        ValueError: If such a file is no JSON, or lacks what COCO's have.
    """
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for base, _, names in os.walk(root):
        for name in sorted(names):
            path = osp.relpath(osp.join(base, name), root)
            stem = osp.splitext(name)[0].replace('-', '_')
            split = next(
                filter(None, map(split_of, _words(stem))), split_of(path)
            )
            if not name.endswith('.json') or split is None or split in found:
                continue
            content = read_json(osp.join(root, path))
            annotations = (
                content.get('annotations')
                if isinstance(content, dict)
                else None
            )
            if annotations and key in annotations[0]:
                _check_fields(path, content)
                found[split] = path, content
    return found


def _check_fields(file: str, content: dict[str, Any]) -> None:
    for name in ('images', 'annotations', 'categories'):
        if not content.get(name):
            raise ValueError(f'{file} must have {name}, as COCO files have')


def _words(stem: str) -> list[str]:
    """Return the words of a file's name, without the year behind them."""
    return [word.rstrip('0123456789') for word in stem.split('_')]


def check_splits(root: str, annotated: Mapping[str, tuple[str, Any]]) -> None:
    """Raise ValueError unless there are annotations of every split."""
    for split in SPLITS:
        if split not in annotated:
            files = ', '.join(file for file, _ in annotated.values())
            raise ValueError(
                f'{root} has no annotations of a split named {split!r}; '
                f'found: {files}'
            )


def image_folder(root: str, content: dict[str, Any], file: str) -> str:
    """Return the folder in which all images of a file are."""
    wanted = {image['file_name'] for image in content['images']}
    first = next(iter(wanted))
    for base, _, _ in os.walk(root):
        if osp.isfile(osp.join(base, first)):
            there = set(image_files(base))
            missing = sorted(osp.normpath(name) for name in wanted)
            missing = [name for name in missing if name not in there]
            if missing:
                raise ValueError(
                    f'{file} names {missing[0]!r}, which is not in {base}'
                )
            return osp.relpath(base, root)
    raise ValueError(f'{file} names {first!r}, which is nowhere in {root}')
