"""Pairing images with label maps, by the names of folders and of files."""

import os
import os.path as osp
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hrnas_mm.image_headers import header_of

from .images import SPLITS

LABEL_WORDS = ('ann', 'label', 'mask', 'gt', 'seg', 'ground', 'truth')
IMAGE_WORDS = (
    'im', 'pic', 'photo', 'rgb', 'jpeg', 'input', 'raw', 'leftimg', 'frame',
    'scan', 'orig', 'data',
)  # fmt: skip
# Words of folders and files that show label maps in another way.
OTHER_WORDS = ('object', 'inst', 'color', 'colour', 'vis', 'preview')
SPLIT_WORDS = [word for words in SPLITS.values() for word in words]

Folders = Mapping[str, list[str]]  # images by folder, relative to it


class Pairs(NamedTuple):
    """The images of a split, and where their label maps are.

    Attributes:
        images: Folder of the images, relative to that of the data.
        labels: Folder of the label maps.
        names: Images, relative to their folder.
        suffixes: What the names of images end in, and of label maps instead.
        listed: File of the data that lists the names, without suffix.
        lines: Names without suffix, if mmseg needs a list that is not there.
    """

    images: str
    labels: str
    names: list[str]
    suffixes: tuple[str, str]
    listed: str = ''
    lines: tuple[str, ...] = ()

    def stem_of(self, name: str) -> str:
        """Return the name of an image without its suffix."""
        return name[: len(name) - len(self.suffixes[0])]

    def label_of(self, name: str) -> str:
        """Return the label map of an image, relative to their folder."""
        return self.stem_of(name) + self.suffixes[1]


def paired(
    root: str, images: str, labels: str, names: list[str], there: Iterable[str]
) -> Pairs:
    """Pair images with label maps by their names.

    Args:
        root: Folder of the data.
        images: Folder of the images, relative to the root.
        labels: Folder of the label maps.
        names: Images, relative to their folder.
        there: Label maps, relative to theirs.

    Raises:
        ValueError: If an image has none, or none of the common suffix.
    """
    there = set(there)
    suffixes, missing = _suffixes(names, there)
    if not missing:
        return Pairs(images, labels, names, suffixes)
    first = osp.join(root, images, missing[0])
    stem = osp.splitext(missing[0])[0]
    others = [name for name in there if osp.splitext(name)[0] == stem]
    if others:
        raise ValueError(
            f'{first} and {osp.join(root, labels, others[0])} must end in '
            f'{" and ".join(suffixes)} as others do, as mmseg reads one '
            'suffix of images and one of label maps: write all in one format'
        )
    raise ValueError(
        f'{first} has no label map of its name in {osp.join(root, labels)}'
    )


def _suffixes(
    names: list[str], there: set[str]
) -> tuple[tuple[str, str], list[str]]:
    """Return what names of images and label maps end in, and what misses.

    Three images are asked, as one may have no label map.
    """
    candidates = []
    for asked in {names[0], names[len(names) // 2], names[-1]}:
        stem = osp.splitext(asked)[0]
        near = sorted(
            there, key=lambda n: (-len(osp.commonprefix([stem, n])), n)
        )
        for name in near[:20]:
            shared = len(osp.commonprefix([stem, name]))
            suffixes = asked[shared:], name[shared:]
            pairs = Pairs('', '', names, suffixes)
            missing = [
                name
                for name in names
                if not name.endswith(suffixes[0])
                or pairs.label_of(name) not in there
            ]
            other = any(word in name[shared:].lower() for word in OTHER_WORDS)
            candidates.append((len(missing), other, suffixes, missing))
    *_, suffixes, missing = min(candidates)
    return suffixes, missing


def image_and_label(root: str, folders: Folders) -> tuple[str, str]:
    """Return the folder of images and that of labels.

    Raises:
        ValueError: If they cannot be told.
    """
    words = {folder: _words(folder, folders) for folder in folders}
    labels = [f for f in folders if _begin(words[f], LABEL_WORDS)]
    if len(labels) > 1:
        labels = [f for f in labels if not _begin(words[f], OTHER_WORDS)]
    if len(labels) != 1:
        labels = [f for f in folders if _is_grey(root, f, folders)]
    images = [f for f in folders if f not in labels]
    if len(images) > 1:
        images = [f for f in images if not _begin(words[f], LABEL_WORDS)]
    if len(images) != 1 or len(labels) != 1:
        raise ValueError(
            f'{root} must have one folder of images and one of label maps per '
            f'split, got {", ".join(sorted(folders))}'
        )
    return images[0], labels[0]


def are_images_and_labels(root: str, folders: Folders) -> bool:
    """Return whether folders are surely images and label maps.

    Classes may be called 'mask' and 'no_mask', or have photos of the same
    names.
    """
    try:
        images, labels = image_and_label(root, folders)
    except ValueError:
        return False
    words = _words(images, folders)
    return _begin(_words(labels, folders), LABEL_WORDS) and (
        words <= set(SPLIT_WORDS)
        or _begin(words, IMAGE_WORDS)
        or _is_grey(root, labels, folders)
    )


def is_named_label(name: str) -> bool:
    """Return whether a file is called a label map: x_mask.png, x_L.png."""
    *_, last = re.split(r'[\W_]+', osp.splitext(name)[0].lower())
    return last.startswith(LABEL_WORDS) or last == 'l'


def _words(folder: str, folders: Folders) -> set[str]:
    """Return the words of a path that not all of the folders have."""
    paths = [path.split(os.sep) for path in folders]
    shared = set.intersection(*map(set, paths)) if len(paths) > 1 else set()
    own = [part for part in folder.split(os.sep) if part not in shared]
    text = re.sub('([a-z])([A-Z])', r'\1 \2', ' '.join(own)).lower()
    # 'trainannot'
    text = re.sub(rf'\b({"|".join(SPLIT_WORDS)})(?=[a-z]{{2}})', r'\1 ', text)
    return set(re.findall('[a-z]+', text))


def _begin(words: set[str], known: tuple[str, ...]) -> bool:
    return any(word.startswith(known) for word in words)


def _is_grey(root: str, folder: str, folders: Folders) -> bool:
    return header_of(osp.join(root, folder, folders[folder][0])).grey
