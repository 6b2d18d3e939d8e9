"""Building searching blocks from the arguments in configs."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from mmcv.cnn import build_activation_layer, build_norm_layer
from torch import nn

from ..modules import SearchingBlock
from ..modules.conv import ActLayer, NormLayer
from ..registry import MODELS

NORM_CFG = dict(type='BN', momentum=0.01, eps=1e-3)
ACT_CFG = dict(type='ReLU', inplace=True)


def norm_layer_of(norm_cfg: Mapping[str, Any]) -> NormLayer:
    """Return a function that builds a norm for a number of channels."""
    return partial(_build_norm, dict(norm_cfg))


def act_layer_of(act_cfg: Mapping[str, Any]) -> ActLayer:
    """Return a function that builds an activation."""
    return partial(build_activation_layer, dict(act_cfg))


def block_builder(
    norm_cfg: Mapping[str, Any],
    act_cfg: Mapping[str, Any],
    kernel_sizes: Sequence[int],
    expand_ratio: float,
    num_tokens: int,
    token_size: int,
    transformer: Mapping[str, Any] | None,
    with_cp: bool,
    memory_efficient: bool | None,
) -> partial[SearchingBlock]:
    """Return the builder of the searching blocks of a supernet or neck.

    It is called as ``block(in_channels, out_channels, stride=1)``.
    """
    return partial(
        SearchingBlock,
        kernel_sizes=kernel_sizes,
        expand_ratio=expand_ratio,
        num_tokens=num_tokens,
        transformer={'token_size': token_size, **(transformer or {})},
        norm_layer=norm_layer_of(norm_cfg),
        act_layer=act_layer_of(act_cfg),
        with_cp=with_cp,
        memory_efficient=memory_efficient,
    )


def build_stock(
    config: Mapping[str, Any], pretrained: str | None
) -> nn.Module:
    """Build a module of a framework.

    Args:
        config: Its config.
        pretrained: Path of weights, used if it has no ``init_cfg``.
    """
    if pretrained is not None:
        weights = dict(type='Pretrained', checkpoint=pretrained)
        config = {'init_cfg': weights, **config}
    return MODELS.build(config)


def _build_norm(norm_cfg: dict[str, Any], channels: int) -> nn.Module:
    return build_norm_layer(norm_cfg, channels)[1]
