"""The multi-branch supernet, Sec. 3.2 and 4.1, as an OpenMMLab backbone."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...compat import take_channels_last_
from ...modules import ConvNormAct, SearchingBlock
from ...modules.conv import affine
from ...modules.deployed import (
    ChannelLayout,
    Channels,
    Deployable,
    Form,
    deployed_joining,
)
from ...modules.searching_block import JoiningBlock
from ...registry import MODELS, register_in
from ..arch import searched_
from ..blocks import (
    ACT_CFG,
    NORM_CFG,
    act_layer_of,
    block_builder,
    norm_layer_of,
)
from .check_arguments import (
    check_frozen,
    check_outputs,
    check_stages,
    check_stem,
    weights_to_load,
)
from .hrnet import check_conv_cfg, stages_of_hrnet, weights_of_hrnet
from .stages import build_stages

STAGES = (
    dict(num_blocks=(1,), num_channels=(24,)),
    dict(num_blocks=(2, 2), num_channels=(18, 36)),
    dict(num_blocks=(2, 2, 3), num_channels=(18, 36, 72)),
    dict(num_blocks=(2, 2, 3, 4), num_channels=(18, 36, 72, 144)),
    dict(num_blocks=(2, 2, 3, 4), num_channels=(18, 36, 72, 144)),
)


@register_in(MODELS)
class HRNASSupernet(BaseModule, Deployable):
    """HR-NAS' supernet, to be searched, resumed, retrained and deployed.

    Source: HR-NAS, Sec. 3.2 and 4.1. With the default stages it has 60
    searching blocks, 61 with ``fuse_channels``.

    Args:
        in_channels: Channels of the input.
        stem_channels: Output channels of the 3x3 convolutions of the stem.
        stem_strides: Strides of these convolutions; with (2, 2) the first
            branch has 1/4 of the input size.
        stages: One ``dict(num_blocks=..., num_channels=...)`` per stage, both
            lists with one entry per branch, highest resolution first.
        kernel_sizes: Odd kernel sizes of the MixConv paths.
        expand_ratio: Ratio r of a path's mid channels to input channels.
        num_tokens: Number of tokens of each block's Transformer; 0 for none.
        token_size: Side s of the tokens, which are s * s pixels.
        transformer: Further arguments of
            :class:`~hrnas_mm.modules.LightweightTransformer`.
        out_indices: Indices of the branches of the last stage to return,
            ascending; None for all. What only the others need is not built.
        multi_branch: Whether branches run in parallel. False gives a chain:
            each stage is only its branch of the lowest resolution, made from
            that of the stage before (Table 6).
        fuse_channels: If given, one map is returned: all branches are resized
            to the highest resolution, concatenated and passed through one
            more searching block with this number of output channels.
        arch: Searched architecture: ``{unit name: count}``, a JSON file or a
            checkpoint.
        extra: HRNet's description of its stages, in place of ``stages``. The
            branches get the widths of its stage4, the depth stays that of
            HR-NAS; weights of an HRNet that come with it are not loaded.
        conv_cfg: None or Conv2d; accepted because HRNet has this argument.
        norm_cfg: Config of the batch norms, BN or SyncBN.
        with_cp: Whether to recompute the blocks' activations in the backward
            pass.
        memory_efficient: Whether MixConv keeps only a few maps for the
            backward pass. None for on a CPU only, where that is faster, too;
            on a GPU it takes 1.2 to 1.5 of the time.
        norm_eval: Whether batch norms stay in eval mode during training.
        frozen_stages: Number of stages to freeze in addition to the stem; 0
            for the stem only, -1 to freeze nothing.
        zero_init_residual: Whether each block starts as its shortcut.
        multiscale_output: Whether to return all branches, or the first only.
        pretrained: Path of weights; deprecated in favour of ``init_cfg``.

    Shape:
        (B, in_channels, H, W) -> tuple of (B, C_i, H_i, W_i), or of one
        (B, fuse_channels, H_0, W_0); H_0 = ceil(H / 4) and so on, any H and W

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
        multi_branch: bool = True,
        fuse_channels: int | None = None,
        arch: None | str | Mapping[str, int] = None,
        extra: Mapping[str, Any] | None = None,
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] = NORM_CFG,
        act_cfg: Mapping[str, Any] = ACT_CFG,
        with_cp: bool = False,
        memory_efficient: bool | None = None,
        norm_eval: bool = False,
        frozen_stages: int = -1,
        zero_init_residual: bool = False,
        multiscale_output: bool = True,
        pretrained: str | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        init_cfg = weights_to_load(pretrained, init_cfg)
        check_conv_cfg(conv_cfg)
        if extra is not None:
            stages = stages_of_hrnet(extra, stages)
            init_cfg = weights_of_hrnet(init_cfg)
        super().__init__(init_cfg)
        check_stem(stem_channels, stem_strides)
        check_stages(stages)
        self.out_indices = check_outputs(
            out_indices,
            fuse_channels,
            multiscale_output,
            multi_branch,
            len(stages[-1]['num_channels']),
        )
        check_frozen(frozen_stages, len(stages))
        self.in_channels = in_channels
        self.norm_eval = norm_eval
        self.frozen_stages = frozen_stages
        norm_layer, act_layer = norm_layer_of(norm_cfg), act_layer_of(act_cfg)
        block = block_builder(
            norm_cfg,
            act_cfg,
            kernel_sizes,
            expand_ratio,
            num_tokens,
            token_size,
            transformer,
            with_cp,
            memory_efficient,
        )
        widths = [in_channels, *stem_channels]
        self.stem = nn.Sequential(
            *(
                ConvNormAct(before, after, 3, stride, 1, norm_layer, act_layer)
                for before, after, stride in zip(
                    widths, stem_channels, stem_strides
                )
            )
        )
        self.stages = build_stages(
            widths[-1],
            stages,
            self.out_indices,
            int(multi_branch),
            block,
            act_layer,
        )
        last, highest = stages[-1]['num_channels'], self.out_indices[0]
        joined = [(last[i], 2 ** (i - highest)) for i in self.out_indices]
        self.fuse: nn.Module | None = (
            JoiningBlock(joined, fuse_channels, **block.keywords)
            if fuse_channels
            else None
        )
        if zero_init_residual:
            zero_residuals_(self)
        searched_(self, arch)
        self._freeze()
        take_channels_last_()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if x.shape[1] != self.in_channels:
            raise ValueError(
                f'in_channels of HRNASSupernet is '
                f'{self.in_channels}, got an input with '
                f'{x.shape[1]} channels'
            )
        if x.device.type == 'cpu':
            # At least 1.5 times as fast on a CPU; the function is the same.
            x = x.contiguous(memory_format=torch.channels_last)
        branches = {0: self.stem(x)}
        for stage in self.stages:
            branches = stage(branches)
        maps = tuple(branches.values())
        return maps if self.fuse is None else (self.fuse(maps),)

    def deployed(self, form: Form) -> nn.Module:
        """Change every part to its deployed form; the maps are padded."""
        layout = ChannelLayout.of(self.in_channels)
        stem: Any = self.stem
        stages: Any = self.stages
        for i, layer in enumerate(stem):
            target = ChannelLayout.of(layer.conv.out_channels, form.step)
            stem[i] = layer.terms(form, layout, target).modules['conv']
            layout = target
        layouts = {0: layout}
        for stage in stages:
            layouts = stage.deploy_(form, layouts)
        if isinstance(self.fuse, JoiningBlock):
            maps = list(layouts.values())
            self.fuse = deployed_joining(self.fuse, form, maps)
        else:
            for i, branch in stages[-1].branches.items():
                branch.append(Channels(layouts[int(i)]))
        return self

    def train(self, mode: bool = True) -> 'HRNASSupernet':
        """Set the mode.

        Frozen stages stay in eval mode, and with ``norm_eval`` all batch
        norms do.
        """
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


def zero_residuals_(model: nn.Module) -> None:
    """Make every searching block start as its shortcut."""
    for module in model.modules():
        if isinstance(module, SearchingBlock):
            for part in (module.mixconv, module.transformer):
                if part is not None:
                    nn.init.zeros_(affine(part.norm)[0])
