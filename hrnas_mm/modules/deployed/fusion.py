"""The sums of a fusion module for inference."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..primitives.resizing import upsample
from .block import Sum, add_, finished, summed
from .channel_layout import ChannelLayout
from .form import Form


def sum_onto(blocks: Any, branches: Any, target: int) -> Tensor | None:
    """Sum deployed blocks, each onto the sum of those before it.

    What is upsampled comes first, so that every further addition follows a
    convolution.
    """
    total = None
    for name in sorted(blocks, key=int, reverse=True):
        x = branches[int(name)]
        if int(name) > target:
            out = upsample(blocks[name](x), branches[target].shape[-2:])
            total = out if total is None else total + out
        else:
            total = blocks[name](x, total)
    return total


def deployed_sum(
    blocks: Any,
    form: Form,
    layouts: Mapping[int, ChannelLayout],
    target: ChannelLayout,
) -> nn.ModuleDict:
    """Deploy blocks whose outputs are summed: one takes what others leave.

    Args:
        blocks: Blocks by their source.
        layouts: Layout of each source.
        target: Layout of the sum.
    """
    left = target
    sums: dict[str, Sum] = {}
    for source, block in blocks.items():
        sums[source], layout = summed(
            block, form, layouts[int(source)], target
        )
        left = left.adding(layout.constant)
    if left.constant is not None:
        constant = left.rows(left.constant)
        if not any(add_(module, constant) for module in sums.values()):
            first = next(iter(sums))
            sums[first] = finished(sums[first], left)
    return nn.ModuleDict(sums)
