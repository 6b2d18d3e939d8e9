"""Workarounds for torch and its libraries; this file imports only torch."""

import os
from importlib import metadata

import torch


def enlarge_onednn_cache() -> None:
    """Make oneDNN cache the kernels of all convolutions of a supernet.

    oneDNN compiles one kernel per shape and caches 1024 of them. The forward
    and the backward pass of a supernet need more, and every step then compiles
    all of them again: on two cores a training step took 1.6 to 2.2 times as
    long. Only takes effect before the first convolution; a value set by the
    user is kept.

    Upstream: uxlfoundation/oneDNN, ONEDNN_PRIMITIVE_CACHE_CAPACITY. Can be
    removed when its default is larger.
    """
    os.environ.setdefault('ONEDNN_PRIMITIVE_CACHE_CAPACITY', '16384')


def define_torchvision_ops() -> None:
    """Make a CUDA build of torchvision importable with a CPU build of torch.

    In this case torchvision's library cannot be loaded, and the import fails
    where it registers meta kernels for these two operators. mmpose and
    mmpretrain only use the transforms of torchvision.

    Upstream: pytorch/vision, torchvision/_meta_registrations.py. Can be
    removed when every torch has a CPU build of torchvision beside it.
    """
    try:
        build = metadata.version('torchvision')
    except metadata.PackageNotFoundError:
        return
    if torch.version.cuda is not None or '+cpu' in build:
        return
    if hasattr(torch.ops.torchvision, 'nms'):
        return
    library = torch.library.Library('torchvision', 'DEF')
    for name in ('nms', 'qnms'):
        library.define(
            f'{name}(Tensor dets, Tensor scores, float iou_threshold) '
            '-> Tensor'
        )
    _torchvision_ops.append(library)  # operators live as long as the library


_torchvision_ops: list[torch.library.Library] = []
