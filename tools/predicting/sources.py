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


def images_in(path: str) -> list[Source]:
    """Return an image, or all images in a folder and the folders in it.

    Folders may be linked.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If it is no image, or the folder has none.
    """
    if osp.isdir(path):
        found = [each for each in _files_in(path) if _is_image(each)]
        if not found:
            raise ValueError(
                f'{path} must have images ({", ".join(IMAGES)}), found none'
            )
        names = [osp.splitext(name)[0] for name in found]
        if len(set(names)) < len(names):  # two would have one name
            names = found
        return [
            Source(osp.join(path, each), name)
            for each, name in zip(found, names)
        ]
    if not osp.isfile(path):
        raise FileNotFoundError(f'there is no file or folder {path}')
    if not _is_image(path):
        raise ValueError(
            f'{path} must be a folder, an image ({", ".join(IMAGES)}) or a '
            f'video ({", ".join(VIDEOS)})'
        )
    return [Source(path, osp.splitext(osp.basename(path))[0])]


def other_files_in(path: str) -> list[str]:
    """Return what is no image in a folder and the folders in it."""
    return [each for each in _files_in(path) if not _is_image(each)]


def _is_image(path: str) -> bool:
    return path.lower().endswith(IMAGES)


def _files_in(path: str) -> list[str]:
    """Return the files in a folder and the folders in it, each folder once."""
    found, seen = [], {osp.realpath(path)}
    for folder, folders, names in os.walk(path, followlinks=True):
        real = {osp.realpath(osp.join(folder, each)): each for each in folders}
        folders[:] = [real[each] for each in real.keys() - seen]
        seen.update(real)
        found += [osp.relpath(osp.join(folder, name), path) for name in names]
    return sorted(found)


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
