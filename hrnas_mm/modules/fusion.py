"""The fusion module, Fig. 3 (b), in which branches exchange features."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from .conv import ActLayer, relu
from .deployed import ChannelLayout, Form, Sum, deployed_sum, sum_onto, summed
from .primitives.resizing import upsample

Block = Callable[..., nn.Module]
Branches = Sequence[Tensor] | Mapping[int, Tensor]


class FusionModule(nn.Module):
    """Sum the neighbours of each output branch, through searching blocks.

    Source: HR-NAS, Sec. 3.2 and Fig. 3 (b). The neighbours of a branch are
    the branch one resolution higher (with stride 2), itself, and the branch
    one resolution lower (upsampled). A new branch is made from the lowest
    fused one by a stride-2 block.

    Args:
        in_channels: Channels of the incoming branches, highest resolution
            first.
        out_channels: Channels of the outgoing branches; at most one branch
            more.
        block: Builder ``block(in_channels, out_channels, stride=...)``.
        outputs: Indices of the branches to return, None for all; blocks that
            only the others need are not built.
        reach: Maximum distance of a neighbour in resolutions; with 0 the
            branches exchange nothing.

    Shape:
        {i: (B, C_i, H_i, W_i)} -> {i: (B, C'_i, H_i, W_i)}, the new branch at
        (ceil(H / 2), ceil(W / 2)) of the lowest
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: Sequence[int],
        block: Block,
        act_layer: ActLayer = relu,
        outputs: Sequence[int] | None = None,
        reach: int = 1,
    ) -> None:
        super().__init__()
        every = range(len(out_channels))
        self.outputs = tuple(every if outputs is None else outputs)
        self.fuse = nn.ModuleDict(
            {
                str(target): nn.ModuleDict(
                    {
                        str(source): block(
                            in_channels[source],
                            out_channels[target],
                            stride=2 if source < target else 1,
                        )
                        for source in neighbours(
                            target, len(in_channels), reach
                        )
                    }
                )
                for target in targets(self.outputs, len(in_channels))
            }
        )
        self.grow = (
            block(out_channels[-2], out_channels[-1], stride=2)
            if len(in_channels) in self.outputs
            else None
        )
        self.act = act_layer()

    def forward(self, branches: Branches) -> dict[int, Tensor]:
        fused = {
            int(target): self.act(self._sum(blocks, branches, int(target)))
            for target, blocks in self.fuse.items()
        }
        if self.grow is not None:
            lowest = max(fused)
            fused[lowest + 1] = self.grow(fused[lowest])
        return {i: fused[i] for i in self.outputs}

    def deploy_(
        self, form: Form, layouts: Mapping[int, ChannelLayout]
    ) -> dict[int, ChannelLayout]:
        """Change every block to its deployed form, and return the layouts."""
        fused = {}
        fuse: Any = self.fuse
        for target, blocks in fuse.items():
            channels = blocks[target].out_channels
            fused[int(target)] = layout = ChannelLayout.of(channels, form.step)
            fuse[target] = deployed_sum(blocks, form, layouts, layout)
        if self.grow is not None:
            grow: Any = self.grow
            lowest = max(fused)
            target = ChannelLayout.of(grow.out_channels, form.step)
            self.grow, fused[lowest + 1] = summed(
                grow, form, fused[lowest], target
            )
        return {i: fused[i] for i in self.outputs}

    def _sum(
        self, blocks: nn.Module, branches: Branches, target: int
    ) -> Tensor:
        assert isinstance(blocks, nn.ModuleDict)
        if isinstance(blocks[str(target)], Sum):
            total = sum_onto(blocks, branches, target)
            assert total is not None
            return total
        x = blocks[str(target)](branches[target])
        for source, block in blocks.items():
            if int(source) < target:
                x = x + block(branches[int(source)])
            elif int(source) > target:
                x = x + upsample(block(branches[int(source)]), x.shape[-2:])
        return x


def targets(outputs: Sequence[int], num_branches: int) -> list[int]:
    """Return the fused branches that some outputs depend on.

    A new branch is made from the lowest one.
    """
    return sorted({min(i, num_branches - 1) for i in outputs})


def sources(
    outputs: Sequence[int], num_branches: int, reach: int = 1
) -> list[int]:
    """Return the incoming branches that some outputs depend on."""
    return sorted(
        {
            source
            for target in targets(outputs, num_branches)
            for source in neighbours(target, num_branches, reach)
        }
    )


def neighbours(target: int, num_branches: int, reach: int) -> list[int]:
    """Return the incoming branches that an outgoing one sums."""
    return [i for i in range(num_branches) if abs(i - target) <= reach]
