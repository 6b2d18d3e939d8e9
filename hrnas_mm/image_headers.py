"""Heads of image files: size, bits, channels, and the turn by EXIF."""

import os.path as osp
from typing import NamedTuple

import cv2
import mmcv
import numpy as np
from PIL import Image, UnidentifiedImageError

ORIENTATION, BITS, CHANNELS = 0x0112, 258, 277  # tags of EXIF and TIFF
TURNED = 5  # and above: height and width change places
ENDS = dict(JPEG=b'\xff\xd9', PNG=b'IEND')  # what a whole file ends in


class Header(NamedTuple):
    """The head of an image file: size, bits, channels and orientation.

    Attributes:
        path: File.
        stored: Height and width of the stored pixels.
        orientation: EXIF's orientation; 1 if the pixels are upright.
        bits: Bits of a value.
        channels: Number of channels.
        grey: Whether a pixel is one number: grey, or of a palette.
    """

    path: str
    stored: tuple[int, int]
    orientation: int
    bits: int
    channels: int
    grey: bool

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width after the turn, as mmcv reads the file."""
        turned = self.orientation >= TURNED
        return self.stored[::-1] if turned else self.stored


def header_of(path: str) -> Header:
    """Read the head of an image, and see that its end is there.

    Raises:
        ValueError: If the file is no image, or is cut off; names it.
    """
    try:
        with Image.open(path) as image:
            if not _ends(path, image.format):
                image.load()
            return _header(path, image)
    except UnidentifiedImageError:
        return _header_of_array(path)
    except Exception as error:  # Pillow raises many types for damaged files
        raise ValueError(
            f'{path} must be an image that can be read to its end, got '
            f'{type(error).__name__}: {error}'
        ) from error


def turns(header: Header) -> bool:
    """Return whether mmcv, with OpenCV, turns the stored pixels."""
    if header.orientation == 1:
        return False
    upright, stored = (
        mmcv.imread(header.path, flag, backend='cv2')
        for flag in ('color', 'color_ignore_orientation')
    )
    return not np.array_equal(upright, stored)


def turned(header: Header) -> str:
    """Return what is wrong with a photo that EXIF turns, and what to do."""
    return (
        f'{header.path} is turned by its EXIF orientation, '
        f'{header.orientation}, when it is loaded, and its label map is not: '
        'remove the tag if the two fit without it (exiftool -Orientation= '
        'FILES), or turn the pixels if they fit with it (mogrify '
        '-auto-orient FILES)'
    )


def _ends(path: str, kind: str | None) -> bool:
    """Return whether a file ends as its kind does, if that is known."""
    with open(path, 'rb') as file:
        file.seek(max(0, osp.getsize(path) - 64))
        return ENDS.get(kind or '', b'') in file.read()


def _header_of_array(path: str) -> Header:
    """Read an image that Pillow does not know: a TIFF of many channels, say.

    Raises:
        ValueError: If OpenCV does not know it either.
    """
    try:
        array = mmcv.imread(path, 'unchanged', backend='cv2')
    except cv2.error:  # of an empty file
        array = None
    if array is None:
        raise ValueError(
            f'{path} must be an image, got a file that neither Pillow nor '
            'OpenCV can read'
        )
    height, width, *more = array.shape
    channels = more[0] if more else 1
    bits = 8 * array.dtype.itemsize
    return Header(path, (height, width), 1, bits, channels, channels == 1)


def _header(path: str, image: Image.Image) -> Header:
    # Pillow would decode a whole PNG to find EXIF behind its pixels.
    has_exif = image.format != 'PNG' or 'exif' in image.info
    exif = image.getexif() if has_exif else {}
    orientation = exif.get(ORIENTATION, 1)
    tags = getattr(image, 'tag_v2', {})
    raw = ''.join(str(tile[3]) for tile in getattr(image, 'tile', ())[:1])
    bits = 16 if '16' in (raw + image.mode) else 8
    if image.mode in ('I', 'F'):
        bits = 32
    bits = max(tags.get(BITS) or (bits,)) if tags else bits
    channels = tags.get(CHANNELS) or len(image.getbands())
    if image.mode == 'CMYK':
        channels = 3  # OpenCV makes colours of it
    return Header(
        path,
        (image.height, image.width),
        orientation if orientation in range(1, 9) else 1,
        bits,
        channels,
        len(image.getbands()) == 1,
    )
