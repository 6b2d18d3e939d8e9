"""Images, and frames of videos, that are to be predicted."""

import os
import os.path as osp
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import mmcv

from hrnas_mm.files import read_json

IMAGES = (
    '.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp',
)  # fmt: skip
CERTAIN = 0.3  # least score of a box, as mmdet draws them
VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')


class Source(NamedTuple):
    """An image to predict.

    Attributes:
        path: Path of the file.
        name: Where its results go, in the folders of results, without the
            ending.
    """

    path: str
    name: str


class Video:
    """A video, as a sequence of frames.

    Args:
        path: Path of the file.

    Raises:
        ValueError: If no frame of it can be read.
    """

    def __init__(self, path: str) -> None:
        self.path, self.name = path, osp.splitext(osp.basename(path))[0]
        self._reader = mmcv.VideoReader(path, cache_capacity=1)
        if not self._reader.opened or len(self) < 1 or not self._reader.fps:
            raise ValueError(f'no frame of {path} can be read as a video')

    @property
    def fps(self) -> float:
        """Return the number of frames per second."""
        return float(self._reader.fps)

    def __len__(self) -> int:
        return int(self._reader.frame_cnt)

    def __iter__(self) -> Iterator[Source]:
        """Yield the frames, each as a file that is there until the next.

        The test pipeline then loads them as it loads other images. There may
        be fewer of them than the video says.
        """
        number = 0
        with tempfile.TemporaryDirectory() as folder:
            path = osp.join(folder, 'frame.bmp')  # written in no time
            while (frame := self._reader.read()) is not None:
                mmcv.imwrite(frame, path)
                yield Source(path, osp.join(self.name, f'{number:06d}'))
                number += 1


class Found(NamedTuple):
    """Hold what was found under a path.

    Attributes:
        images: The images.
        others: Files that are none.
        folders: The folders, where they really are.
    """

    images: list[Source]
    others: list[str]
    folders: list[str]


def images_in(path: str) -> Found:
    """Return an image, or all images in a folder and the folders in it.

    Folders may be linked; each is read once, by its own name if it has one.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If it is no image, or the folder has none.
    """
    if osp.isdir(path):
        files, folders = _walk(path)
        found = sorted(each for each in files if _is_image(each))
        others = sorted(set(files).difference(found))
        if not found:
            such = f', but files such as {others[0]}' if others else ''
            raise ValueError(
                f'{path} must have images ({", ".join(IMAGES)}), found none'
                f'{such}'
            )
        names = [osp.splitext(name)[0] for name in found]
        if len(set(names)) < len(names):  # two would have one name
            names = found
        sources = [
            Source(osp.join(path, each), name)
            for each, name in zip(found, names)
        ]
        return Found(sources, others, folders)
    if not osp.isfile(path):
        raise FileNotFoundError(f'there is no file or folder {path}')
    if not _is_image(path):
        raise ValueError(
            f'{path} must be a folder, an image ({", ".join(IMAGES)}) or a '
            f'video ({", ".join(VIDEOS)})'
        )
    source = Source(path, osp.splitext(osp.basename(path))[0])
    return Found([source], [], [osp.realpath(path)])


def _is_image(path: str) -> bool:
    return path.lower().endswith(IMAGES)


def _walk(path: str) -> tuple[list[str], list[str]]:
    """Return the files in a folder, and the folders; links come last."""
    files: list[str] = []
    folders: dict[str, None] = {}
    left = [path]
    for top in left:
        for folder, inner, names in os.walk(top, onerror=_raise):
            inner.sort()
            if osp.realpath(folder) in folders:
                inner.clear()
                continue
            folders[osp.realpath(folder)] = None
            own = [osp.join(folder, name) for name in names]
            files += [osp.relpath(each, path) for each in own]
            inside = [osp.join(folder, name) for name in inner]
            left += filter(osp.islink, inside)  # not walked into
    return files, list(folders)


def _raise(error: OSError) -> None:
    raise error


def boxes_of(folder: str, source: Source) -> list[list[float]]:
    """Return the boxes that a detector has found in an image.

    Args:
        folder: Folder of predictions that this tool has written.
        source: The image.

    Raises:
        ValueError: If there is no prediction of boxes for it.
    """
    path = osp.join(folder, f'{source.name}.json')
    found = read_json(path) if osp.isfile(path) else {}
    if not {'bboxes', 'scores'} <= set(found):
        raise ValueError(f'--boxes must have boxes in {path}')
    return [
        box
        for box, score in zip(found['bboxes'], found['scores'])
        if score is not None and score >= CERTAIN
    ]
