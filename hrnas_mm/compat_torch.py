"""Workarounds for torch and its libraries; its import needs only torch."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import torch
from torch import Tensor


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


def keep_freed_memory(device: torch.device) -> None:
    """Make glibc keep the memory that a training step on a CPU frees.

    Otherwise it returns maps of some megabytes to the kernel at once, and a
    tenth of a step's time goes into getting their pages again. The process
    stays as large as it was at its peak. A setting of the user is kept, as is
    another allocator, to which this means nothing.

    Upstream: mallopt(3). Can be removed when torch's CPU allocator caches.
    """
    set_by_user = {'GLIBC_TUNABLES', 'MALLOC_TRIM_THRESHOLD_'} & {*os.environ}
    if device.type != 'cpu' or set_by_user:
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 2**26)
    mallopt(mmap_threshold, 2**30)


@contextmanager
def quick_matching() -> Iterator[None]:
    """Make onnxscript look for a pattern only where its first operator is.

    For a pattern that ends in several nodes, it would read the whole graph
    once per node of the graph. This took a fifth of an export of the paper's
    supernet; the file is the same.

    Upstream: microsoft/onnxscript#1734, SimplePatternMatcher.match. Can be
    removed when this compares the node's operator first.
    """
    try:
        from onnxscript.rewriter._basics import MatchResult
        from onnxscript.rewriter._matcher import SimplePatternMatcher
    except ImportError:  # of another version
        yield
        return
    matcher: Any = SimplePatternMatcher
    slow = matcher.match

    def match(
        self: Any, model: Any, graph: Any, node: Any, **options: Any
    ) -> Any:
        if not self.pattern.has_single_output_node:
            operator = self.pattern.output_nodes[0].op_identifier()
            if operator not in (None, node.op_identifier()):
                return MatchResult().fail('The operator is another.')
        return slow(self, model, graph, node, **options)

    matcher.match = match
    try:
        yield
    finally:
        matcher.match = slow


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


def depthwise_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of a depthwise convolution's input and weight.

    On a CPU the weight's gradient is put together from parts of three columns:
    for these oneDNN has a fast kernel; for wider depthwise weights it takes
    that of grouped convolutions, which is ten times as slow.

    Upstream: uxlfoundation/oneDNN, jit_uni_dw_conv_kernel_utils.hpp. Can be
    removed when its kernel for the weight's gradient takes more columns.

    Args:
        grad: Gradient of the output, (B, C, H', W').
        x: Input, (B, C, H, W).
        weight: Weight, (C, 1, k, k) with an odd k.
        stride, padding, dilation, groups: Those of the convolution; dilation
            is 1 and groups is C.
    """

    def gradients(
        x: Tensor, weight: Tensor, padding: tuple[int, int], *needed: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        return torch.ops.aten.convolution_backward(
            grad, x, weight, None, stride, padding, dilation, False, [0, 0],
            groups, [*needed, False],
        )  # fmt: skip

    size = weight.shape[-1]
    if size <= 3 or stride != (1, 1) or x.device.type != 'cpu':
        return gradients(x, weight, padding, True, True)[:2]
    d_weight = torch.empty_like(weight)
    part = weight[..., :3]
    for first in range(0, size - 2, 2):
        if first == padding[1] - 1:
            columns, beside = x, 1
        else:
            columns, beside = _shifted(x, first - padding[1]), 0
        d_weight[..., first : first + 3] = gradients(
            columns, part, (padding[0], beside), False, True
        )[1]
    return gradients(x, weight, padding, True, False)[0], d_weight


def _shifted(x: Tensor, first: int) -> Tensor:
    """Return columns ``first`` to ``W + first + 1`` of x, zeros outside.

    As F.pad would, which fills with zeros what it then copies to.
    """
    batch, channels, height, width = x.shape
    size = (batch, channels, height, width + 2)
    out = torch.empty(size, dtype=x.dtype, memory_format=torch.channels_last)
    # A map may be narrower than a kernel reaches to its sides.
    start = min(max(0, -first), width + 2)
    stop = max(start, min(width + 2, width - first))
    out[..., start:stop] = x[..., start + first : stop + first]
    out[..., :start] = 0
    out[..., stop:] = 0
    return out
