"""The multi-branch supernet, Sec. 3.2 and 4.1, as an OpenMMLab backbone."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from mmcv.cnn import build_activation_layer, build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...modules import ConvNormAct, FusionModule, SearchingBlock
from ...modules.transformer import resize
from ...registry import MODELS, register_in
from ...search import apply_architecture_, architecture_in
from .arch import load_architecture, pretrained_architecture
from .checks import check_frozen, check_outputs, check_stages, check_stem

STAGES = (
    dict(num_blocks=(1,), num_channels=(24,)),
    dict(num_blocks=(2, 2), num_channels=(18, 36)),
    dict(num_blocks=(2, 2, 3), num_channels=(18, 36, 72)),
    dict(num_blocks=(2, 2, 3, 4), num_channels=(18, 36, 72, 144)),
    dict(num_blocks=(2, 2, 3, 4), num_channels=(18, 36, 72, 144)),
)


class Stage(nn.Module):
    """A fusion module and the parallel module after it.

    Shape:
        [(B, C_i, H_i, W_i)] -> [(B, C'_i, H'_i, W'_i)]
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_blocks: Sequence[int],
        num_channels: Sequence[int],
        block,
        act_layer,
    ) -> None:
        super().__init__()
        self.fusion = FusionModule(in_channels, num_channels, block, act_layer)
        self.branches = nn.ModuleList(
            nn.Sequential(*(block(channels, channels) for _ in range(depth)))
            for depth, channels in zip(num_blocks, num_channels)
        )

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        fused = self.fusion(branches)
        return [branch(x) for branch, x in zip(self.branches, fused)]


@register_in(MODELS)
class HRNASSupernet(BaseModule):
    """HR-NAS' supernet: searched, resumed, retrained and deployed as one.

    Source: HR-NAS, Sec. 3.2 and 4.1. With the default stages it has 60
    searching blocks, 61 with ``fuse_channels``.

    Args:
        in_channels: Of the input.
        stem_channels: Of the 3x3 convolutions at the start.
        stem_strides: Theirs; (2, 2) starts at 1/4 of the input size.
        stages: One ``dict(num_blocks=..., num_channels=...)`` each, both
            lists with one entry per branch, highest resolution first.
        kernel_sizes: Of the MixConv paths, odd.
        expand_ratio: r, mid channels of a path per input channel.
        num_tokens: Tokens of each block's Transformer; 0 for none.
        token_size: s, tokens are s * s pixels.
        transformer: More arguments of
            :class:`~hrnas_mm.modules.LightweightTransformer`.
        out_indices: Branches of the last stage to return; None for all.
        fuse_channels: Return one map instead: all branches resized to the
            highest resolution, concatenated and put through one more
            searching block with so many output channels.
        arch: A searched architecture: ``{unit name: count}``, a JSON file or
            a checkpoint.
        norm_cfg: BN or SyncBN.
        with_cp: Recompute the blocks' activations in the backward pass.
        norm_eval: Keep normalisation in eval mode while training.
        frozen_stages: Freeze the stem (0) and so many stages; -1 for none.
        pretrained: Deprecated in favour of ``init_cfg``.

    Shape:
        (B, in_channels, H, W) -> tuple of (B, C_i, H_i, W_i), or of one
        (B, fuse_channels, H_0, W_0); ceil(H / 4) and so on, any H and W

    Raises:
        ValueError: If an argument, or a combination of them, is wrong.
    """

    def __init__(
        self,
        in_channels: int = 3,
        stem_channels: Sequence[int] = (24, 24),
        stem_strides: Sequence[int] = (2, 2),
        stages: Sequence[Mapping[str, Any]] = STAGES,
        kernel_sizes: Sequence[int] = (3, 5, 7),
        expand_ratio: float = 4,
        num_tokens: int = 64,
        token_size: int = 8,
        transformer: Mapping[str, Any] | None = None,
        out_indices: Sequence[int] | None = None,
        fuse_channels: int | None = None,
        arch: None | str | Mapping[str, int] = None,
        norm_cfg: Mapping[str, Any] = dict(type='BN', momentum=0.01, eps=1e-3),
        act_cfg: Mapping[str, Any] = dict(type='ReLU', inplace=True),
        with_cp: bool = False,
        norm_eval: bool = False,
        frozen_stages: int = -1,
        pretrained: str | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(_init_cfg(pretrained, init_cfg))
        check_stem(stem_channels, stem_strides)
        check_stages(stages)
        branches = len(stages[-1]['num_channels'])
        self.out_indices = check_outputs(out_indices, fuse_channels, branches)
        check_frozen(frozen_stages, len(stages))
        self.in_channels = in_channels
        self.norm_eval = norm_eval
        self.frozen_stages = frozen_stages
        norm_layer = partial(_build_norm, dict(norm_cfg))
        act_layer = partial(build_activation_layer, dict(act_cfg))
        block = partial(
            SearchingBlock,
            kernel_sizes=kernel_sizes,
            expand_ratio=expand_ratio,
            num_tokens=num_tokens,
            transformer={'token_size': token_size, **(transformer or {})},
            norm_layer=norm_layer,
            act_layer=act_layer,
            with_cp=with_cp,
        )
        widths = [in_channels, *stem_channels]
        self.stem = nn.Sequential(
            *(
                ConvNormAct(*pair, 3, stride, 1, norm_layer, act_layer)
                for *pair, stride in zip(widths, stem_channels, stem_strides)
            )
        )
        self.stages = nn.ModuleList()
        channels: Sequence[int] = widths[-1:]
        for stage in stages:
            self.stages.append(
                Stage(channels, **stage, block=block, act_layer=act_layer)
            )
            channels = stage['num_channels']
        self.fuse = (
            block(sum(channels), fuse_channels) if fuse_channels else None
        )
        self._shape(arch)
        self._freeze()

    def _shape(self, arch: None | str | Mapping[str, int]) -> None:
        """Take the architecture that is given, or that of the weights."""
        architecture = (
            pretrained_architecture(self.init_cfg, self)
            if arch is None
            else load_architecture(arch, self)
        )
        if architecture is not None:
            apply_architecture_(self, architecture)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if x.shape[1] != self.in_channels:
            raise ValueError(
                f'in_channels of HRNASSupernet is '
                f'{self.in_channels}, got an input with '
                f'{x.shape[1]} channels'
            )
        if x.device.type == 'cpu':
            # Faster there, 1.5 times and more; the function is the same.
            x = x.contiguous(memory_format=torch.channels_last)
        branches = [self.stem(x)]
        for stage in self.stages:
            branches = stage(branches)
        if self.fuse is None:
            return tuple(branches[i] for i in self.out_indices)
        size = branches[0].shape[-2:]
        joined = [branches[0], *(resize(x, size) for x in branches[1:])]
        return (self.fuse(torch.cat(joined, dim=1)),)

    def train(self, mode: bool = True) -> 'HRNASSupernet':
        """As usual, but frozen stages and ``norm_eval`` stay in eval mode."""
        super().train(mode)
        if mode:
            self._freeze()
            if self.norm_eval:
                for module in self.modules():
                    if isinstance(module, nn.modules.batchnorm._BatchNorm):
                        module.eval()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        for module in [self.stem, *self.stages[: self.frozen_stages]]:
            module.eval().requires_grad_(False)

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        """Take the architecture of a searched ``state_dict`` first.

        So a config of the supernet and a checkpoint of a shrunk network make
        that network, with nothing else to do. A network that is already
        smaller cannot grow back; the usual report of sizes follows then.
        """
        found = architecture_in(state_dict, self, prefix)
        if found is not None:
            try:
                apply_architecture_(self, found)
            except ValueError as error:
                args[-1].append(str(error))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _build_norm(norm_cfg: dict[str, Any], channels: int) -> nn.Module:
    return build_norm_layer(norm_cfg, channels)[1]


def _init_cfg(
    pretrained: str | None, init_cfg: dict[str, Any] | None
) -> dict[str, Any] | None:
    if pretrained is None:
        return init_cfg
    if init_cfg is not None:
        raise ValueError(
            'pretrained and init_cfg must not both be given; '
            'pretrained is deprecated'
        )
    return dict(type='Pretrained', checkpoint=pretrained)
