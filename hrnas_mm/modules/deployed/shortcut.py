"""The shortcut of a searching block for inference."""

import torch
from torch import Tensor, nn

from ..primitives.pointwise import dense
from .block import Terms
from .channel_layout import ChannelLayout
from .convs import conv_of


def deployed_shortcut(
    shortcut: nn.Module,
    source: ChannelLayout,
    target: ChannelLayout,
    like: Tensor,
) -> Terms:
    """Return the shortcut between two maps: the identity or a convolution.

    Groups are filled up with zeros: a dense convolution is faster.

    Args:
        like: Any weight of the block, for its type and device.
    """
    stride = 1
    weight = torch.eye(len(source.slots)).to(like)
    if isinstance(shortcut, nn.Conv2d):
        weight = dense(shortcut.weight, shortcut.groups)
        stride = shortcut.stride[0]
    elif source.like(target):
        return Terms({'shortcut': nn.Identity()}, source.after(weight))
    conv = conv_of(
        target.rows(source.columns(weight)),
        weight.new_zeros(target.width),
        stride,
    )
    return Terms({'shortcut': conv}, source.after(weight))
