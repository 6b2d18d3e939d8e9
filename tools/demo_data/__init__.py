"""Small, learnable, generated data sets in the layouts of five benchmarks."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .coco import make_coco
from .imagenet import make_imagenet
from .kitti import make_kitti
from .street import make_ade20k, make_cityscapes


class Layout(NamedTuple):
    """How a benchmark's data is made.

    Attributes:
        make: Function ``make(out, {split: count}, (width, height), seed)``.
        train, val: Default numbers of images or frames.
        size: Default width and height in pixels; None where they are fixed.
    """

    make: Callable[[str, Mapping[str, int], Any, int], None]
    train: int
    val: int
    size: tuple[int, int] | None


LAYOUTS = dict(
    cityscapes=Layout(make_cityscapes, 200, 50, (256, 128)),
    ade20k=Layout(make_ade20k, 200, 50, (256, 128)),
    coco=Layout(make_coco, 400, 60, (256, 192)),
    kitti=Layout(make_kitti, 60, 12, None),
    imagenet=Layout(make_imagenet, 800, 200, (96, 96)),
)
