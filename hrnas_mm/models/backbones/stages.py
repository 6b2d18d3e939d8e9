"""The stages of a supernet: fusion, then parallel branches."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ...modules import FusionModule
from ...modules.conv import ActLayer
from ...modules.deployed import ChannelLayout, Form, chained
from ...modules.fusion import Block, sources


class Stage(nn.Module):
    """A fusion module and the parallel module after it.

    Args:
        outputs: Indices of the branches to return; the others are not built.
        reach: See :class:`~hrnas_mm.modules.FusionModule`.

    Shape:
        [(B, C_i, H_i, W_i)] -> {i: (B, C'_i, H'_i, W'_i)} of ``outputs``
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_blocks: Sequence[int],
        num_channels: Sequence[int],
        outputs: Sequence[int],
        reach: int,
        block: Block,
        act_layer: ActLayer,
    ) -> None:
        super().__init__()
        self.fusion = FusionModule(
            in_channels, num_channels, block, act_layer, outputs, reach
        )
        self.branches = nn.ModuleDict(
            {
                str(i): nn.Sequential(
                    *(
                        block(num_channels[i], num_channels[i])
                        for _ in range(num_blocks[i])
                    )
                )
                for i in outputs
            }
        )

    def forward(self, branches: Mapping[int, Tensor]) -> dict[int, Tensor]:
        fused = self.fusion(branches)
        return {
            int(i): branch(fused[int(i)])
            for i, branch in self.branches.items()
        }

    def deploy_(
        self, form: Form, layouts: Mapping[int, ChannelLayout]
    ) -> dict[int, ChannelLayout]:
        """Change every part to its deployed form, and return the layouts."""
        fused = self.fusion.deploy_(form, layouts)
        found = {}
        branches: Any = self.branches
        for i, blocks in branches.items():
            branches[i], found[int(i)] = chained(blocks, form, fused[int(i)])
        return found


def build_stages(
    channels: int,
    stages: Sequence[Mapping[str, Any]],
    out_indices: Sequence[int],
    reach: int,
    block: Block,
    act_layer: ActLayer,
) -> nn.ModuleList:
    """Build all stages, without the branches that no output depends on.

    Args:
        channels: Output channels of the stem.
        out_indices: Indices of the branches that the last stage returns.
        reach: See :class:`~hrnas_mm.modules.FusionModule`.
    """
    widths = [(channels,), *(stage['num_channels'] for stage in stages)]
    outputs = [list(out_indices)]
    for incoming in widths[-2:0:-1]:
        outputs.insert(0, sources(outputs[0], len(incoming), reach))
    return nn.ModuleList(
        Stage(
            incoming,
            **stage,
            outputs=put_out,
            reach=reach,
            block=block,
            act_layer=act_layer,
        )
        for incoming, stage, put_out in zip(widths, stages, outputs)
    )
