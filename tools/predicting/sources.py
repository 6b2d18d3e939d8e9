"""Images, and frames of videos, that are to be predicted."""

import os
import os.path as osp
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import mmcv

IMAGES = (
    '.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp',
)  # fmt: skip
VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')


class Source(NamedTuple):
    """An image to predict.

    Attributes:
        path: Path of the file, or of the video.
        name: Where its results go, in the folders of results, without the
            ending.
        frame: Frame of a video, shape (H, W, 3), BGR; None for a file.
    """

    path: str
    name: str
    frame: Any = None


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
        """Yield the frames; containers may name more than they have."""
        number = 0
        while (frame := self._reader.read()) is not None:
            yield Source(
                self.path, osp.join(self.name, f'{number:06d}'), frame
            )
            number += 1


def images_in(path: str) -> list[Source]:
    """Return an image, or all images in a folder and the folders in it.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If it is no image, or the folder has none.
    """
    if osp.isdir(path):
        found = [
            osp.relpath(osp.join(folder, name), path)
            for folder, _, names in os.walk(path)
            for name in names
            if name.lower().endswith(IMAGES)
        ]
        if not found:
            raise ValueError(
                f'{path} must have images ({", ".join(IMAGES)}), found none'
            )
        names = _names(sorted(found))
        return [Source(osp.join(path, x), name) for x, name in names.items()]
    if not osp.isfile(path):
        raise FileNotFoundError(f'there is no file or folder {path}')
    if not path.lower().endswith(IMAGES):
        raise ValueError(
            f'{path} must be a folder, an image ({", ".join(IMAGES)}) or a '
            f'video ({", ".join(VIDEOS)})'
        )
    return [Source(path, osp.splitext(osp.basename(path))[0])]


def _names(paths: list[str]) -> dict[str, str]:
    """Return names of results by paths: all of it where two would be one."""
    stems = {path: osp.splitext(path)[0] for path in paths}
    count = Counter(stems.values())
    return {
        path: stem if count[stem] == 1 else path
        for path, stem in stems.items()
    }
