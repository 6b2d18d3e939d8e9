"""Heads of many image files."""

import os.path as osp
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from hrnas_mm.image_headers import Header, header_of

from .progress import counted

# Pillow's limit against attacks, with which mmseg reads label maps; the files
# here are the user's own.
PILLOW_PIXELS = 178_956_970
Image.MAX_IMAGE_PIXELS = None


def headers_of(root: str, names: Sequence[str]) -> list[Header]:
    """Read the heads of many images, whose names are relative to a folder.

    Raises:
        ValueError: See :func:`header_of`.
    """
    paths = [osp.join(root, name) for name in names]
    with ThreadPoolExecutor(8) as pool:
        try:
            return list(counted(pool.map(header_of, paths), paths, 'images'))
        except ValueError as error:
            pool.shutdown(cancel_futures=True)
            # Anew, as the one of another thread has no line of ours.
            raise ValueError(str(error)) from None
