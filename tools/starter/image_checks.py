"""Images that a framework does not see as they are."""

from collections.abc import Sequence

import cv2

from hrnas_mm.image_headers import Header

from .headers import headers_of

BYTE = 8  # bits
DARK = 64  # of 255; below, a picture is almost black
MOST_PIXELS = 2**30  # of one image that OpenCV reads
READ = 4  # images of more than 8 bits


def look_at(root: str, names: Sequence[str]) -> tuple[list[Header], list[str]]:
    """Read the heads of images, and say what mmcv makes of odd ones.

    Args:
        root: Folder that the names are relative to.
        names: Image files.

    Returns:
        The heads, and what may surprise, in sentences.

    Raises:
        ValueError: If an image cannot be read, or not as what it shows.
    """
    headers = headers_of(root, names)
    for header in headers:
        if header.channels > 4:
            raise ValueError(
                f'{header.path} must have 1, 3 or 4 channels, got '
                f'{header.channels}, of which mmcv reads three at most: write '
                'the three that matter, or read all with a transform of yours'
            )
        height, width = header.stored
        if height * width > MOST_PIXELS:
            raise ValueError(
                f'{header.path} must have at most {MOST_PIXELS} pixels, which '
                f'OpenCV reads, got {height}x{width}: cut it into tiles'
            )
    return headers, [
        *_more_bits([h for h in headers if h.bits > BYTE]),
        *_fourth_channel([h for h in headers if h.channels == 4]),
    ]


def _more_bits(headers: list[Header]) -> list[str]:
    """Look at what is left of images of 16 bits in mmcv's 8."""
    if not headers:
        return []
    seen = 0
    for header in headers[:: max(1, len(headers) // READ)][:READ]:
        image = cv2.imread(header.path)  # as mmcv does
        if image is None:
            raise ValueError(
                f'{header.path} has {header.bits} bits per value, which mmcv '
                'cannot read as an image: write it in 8 bits'
            )
        seen = max(seen, int(image.max()))
    first = headers[0]
    if seen < DARK:
        raise ValueError(
            f'{first.path} has {first.bits} bits per value, and is almost '
            f'black as mmcv reads it in 8, at most {seen} of 255: stretch the '
            'values of all images alike to 0 to 255, and write them in 8 bits'
        )
    return [
        f'Images of more than 8 bits per value: {len(headers)}, such as '
        f'{first.path}; mmcv reads the upper 8.'
    ]


def _fourth_channel(headers: list[Header]) -> list[str]:
    if not headers:
        return []
    return [
        f'Images of four channels: {len(headers)}, such as '
        f'{headers[0].path}; mmcv reads the first three.'
    ]
