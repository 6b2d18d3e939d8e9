"""A model for deployment: one image in, tensors out, in its fastest form."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Any

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._pytree import tree_leaves

from ..modules.deployed import Choice, Deployable, Form, form_of
from ..modules.stock import (
    SearchableChannels,
    deploy_channels_,
    is_plain_norm,
)
from ..search.trace import trace
from .dense import dense_part


class DeployableModel(nn.Module):
    """The dense part of a model in its deployed form.

    Every searching block, Transformer and supernet is replaced by a form that
    computes the same with fewer and faster operators; batch norms are folded
    away. Steps that are not dense are left out: normalising the image, making
    a pseudo-image from points, and turning maps into boxes, keypoints or a
    label map. Heads that only training uses are left out, too.

    Args:
        model: Trained model of any framework; it is copied.
        runtime: Runtime for which the form is chosen: 'torch',
            'onnxruntime' or 'openvino'.
        fuse: Whether a block's paths of several kernel sizes become one path:
            'always', 'never', or 'auto' for what is faster in each block.
        round: Number to whose multiples channels are rounded up with zeros, 1
            for no rounding; 'auto' for what is fastest on the runtime.
        input_shape: (C, H, W) of the image, by which 'auto' chooses; None
            for a choice that does not depend on it. The form takes any size.
        choices: What is settled of modules, by their names in the dense part,
            instead of what 'auto' would choose.

    Shape:
        (B, C, H, W) -> the output tensors of the heads, one after the other

    Raises:
        ValueError: If an option is unknown.
    """

    def __init__(
        self,
        model: nn.Module,
        runtime: str = 'torch',
        fuse: str = 'auto',
        round: int | str = 'auto',
        input_shape: Sequence[int] | None = None,
        choices: Mapping[str, Choice] | None = None,
    ) -> None:
        super().__init__()
        dense = deepcopy(dense_part(model)).requires_grad_(False)
        dense.eval()  # not chained: some backbones' eval() returns None
        dense._modules.pop('auxiliary_head', None)
        sizes = {} if input_shape is None else _sizes(dense, input_shape)
        settled = {
            dense.get_submodule(name): choice
            for name, choice in (choices or {}).items()
        }
        form = form_of(runtime, fuse, round, sizes, settled)
        self.model = deployed_(dense, form)
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensors_in(self.model(image)))


def tensors_in(outputs: Any) -> list[Tensor]:
    """Return the tensors among outputs; a head may put out None for a part."""
    return [each for each in tree_leaves(outputs) if each is not None]


@torch.no_grad()
def deployed_(
    module: nn.Module,
    form: Form,
    done: dict[nn.Module, nn.Module] | None = None,
) -> nn.Module:
    """Return the deployed form of a module, which is changed for it.

    A Deployable says itself what takes its place. Of other packages' modules,
    the batch norms are folded that are known to follow a convolution.

    Args:
        done: What was returned for modules before, as one may be found in
            several places.
    """
    done = {} if done is None else done
    if module not in done:
        done[module] = _replaced(module, form, done)
    return done[module]


def _replaced(
    module: nn.Module, form: Form, done: dict[nn.Module, nn.Module]
) -> nn.Module:
    if isinstance(module, Deployable):
        return module.deployed(form)
    if isinstance(module, SearchableChannels):
        deploy_channels_(module, form.step)
    for name, child in module._modules.items():
        if child is not None:
            setattr(module, name, deployed_(child, form, done))
    for conv, norm in convs_and_norms(module):
        first: Any = module._modules[conv]
        second: Any = module._modules[norm]
        if type(first) is nn.Conv2d and is_plain_norm(second):
            setattr(module, conv, fuse_conv_bn_eval(first, second))
            setattr(module, norm, nn.Identity())
    return module


def convs_and_norms(module: nn.Module) -> list[tuple[str, str]]:
    """Return names of children of which the second follows the first.

    In a Sequential, each child follows the one before. In mmcv's ConvModule
    and in OpenMMLab's residual blocks, the norms follow the convolutions.
    Anywhere else, one may not follow the other that is named before it.
    """
    if type(module).forward is nn.Sequential.forward:
        return list(pairwise(module._modules))
    if isinstance(module, ConvModule):
        follows = module.with_norm and module.order[:2] == ('conv', 'norm')
        return [('conv', module.norm_name)] if follows else []
    numbered = (
        (f'conv{i}', getattr(module, f'norm{i}_name', None)) for i in (1, 2, 3)
    )
    return [
        (conv, norm)
        for conv, norm in numbered
        if norm in module._modules and conv in module._modules
    ]


def _sizes(
    model: nn.Module, input_shape: Sequence[int]
) -> Mapping[nn.Module, tuple[int, int]]:
    """Return the input size (h, w) of each searchable module."""
    sizes = trace(model, input_shape).sizes
    return {model.get_submodule(name): each[0] for name, each in sizes.items()}
