"""Work-arounds for torch and its libraries; needs nothing but torch."""

import os
from importlib import metadata

import torch


def enlarge_onednn_cache() -> None:
    """Let oneDNN keep the kernels of all convolutions of a supernet.

    It compiles a kernel per shape and keeps 1024 of them; forward and
    backward of one supernet need more, and every step then compiles them all
    again: on two cores a training step took 1.6 to 2.2 times as long. Takes
    effect before the first convolution; a value set by the user stays.

    Upstream: uxlfoundation/oneDNN, ONEDNN_PRIMITIVE_CACHE_CAPACITY. Can go
    when its default grows.
    """
    os.environ.setdefault('ONEDNN_PRIMITIVE_CACHE_CAPACITY', '16384')


def define_torchvision_ops() -> None:
    """Let a CUDA build of torchvision be imported beside a CPU build of torch.

    Its library cannot be loaded then, and the import fails where it gives
    these two operators a meta kernel. mmpose and mmpretrain use its
    transforms only.

    Upstream: pytorch/vision, torchvision/_meta_registrations.py. Can go when
    there is a CPU build beside every torch.
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
    _torchvision_ops.append(library)  # the operators live as long as it does


_torchvision_ops: list[torch.library.Library] = []
