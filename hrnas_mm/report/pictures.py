"""The pictures in a work_dir that frameworks have drawn, for its page."""

import base64
import os.path as osp
from pathlib import Path
from typing import NamedTuple

PREDICTIONS, BATCH = 'predictions', 'training_batch'  # folders
COUNT = 4  # in each
TRUTH, PREDICTION, BOTH = 'ground truth', 'prediction', ''  # what they show


class Picture(NamedTuple):
    """A JPEG picture in base64, and what it shows."""

    shows: str
    jpeg: str


def picture_path(folder: str, number: int, shows: str = BOTH) -> str:
    """Return the path of a picture; its name tells what it shows."""
    name = '_'.join([str(number), *shows.split()])
    return osp.join(folder, f'{name}.jpg')


def pictures_in(folder: str) -> list[list[Picture]]:
    """Return the pictures of each image in a folder."""
    images = (
        [
            Picture(shows, base64.b64encode(path.read_bytes()).decode())
            for shows in (TRUTH, PREDICTION, BOTH)
            if (path := Path(picture_path(folder, number, shows))).is_file()
        ]
        for number in range(COUNT)
    )
    return [pictures for pictures in images if pictures]
