"""The fusion module, Fig. 3 (b): branches exchange what they know."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .conv import ActLayer, relu
from .transformer import resize

Block = Callable[..., nn.Module]


class FusionModule(nn.Module):
    """Each output branch sums its neighbours, through searching blocks.

    Source: HR-NAS, Sec. 3.2 and Fig. 3 (b). A branch's neighbours are those
    one resolution above (stride 2), its own, and one below (upsampled). A new
    branch is made from the lowest fused one by a stride-2 block.

    Args:
        in_channels: Of the incoming branches, highest resolution first.
        out_channels: Of the outgoing branches; at most one more.
        block: ``block(in_channels, out_channels, stride=...)``.

    Shape:
        [(B, C_i, H_i, W_i)] -> [(B, C'_i, H_i, W_i)], the new branch at
        (ceil(H / 2), ceil(W / 2)) of the lowest
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: Sequence[int],
        block: Block,
        act_layer: ActLayer = relu,
    ) -> None:
        super().__init__()
        self.fuse = nn.ModuleList(
            nn.ModuleDict(
                {
                    str(source): block(
                        in_channels[source],
                        channels,
                        stride=2 if source < target else 1,
                    )
                    for source in neighbours(target, len(in_channels))
                }
            )
            for target, channels in enumerate(out_channels[: len(in_channels)])
        )
        self.grow = (
            block(out_channels[-2], out_channels[-1], stride=2)
            if len(out_channels) > len(in_channels)
            else None
        )
        self.act = act_layer()

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        fused = [
            self.act(self._sum(blocks, branches, target))
            for target, blocks in enumerate(self.fuse)
        ]
        if self.grow is not None:
            fused.append(self.grow(fused[-1]))
        return fused

    def _sum(
        self, blocks: nn.Module, branches: Sequence[Tensor], target: int
    ) -> Tensor:
        assert isinstance(blocks, nn.ModuleDict)
        x = blocks[str(target)](branches[target])
        for source, block in blocks.items():
            if int(source) < target:
                x = x + block(branches[int(source)])
            elif int(source) > target:
                x = x + upsample(block(branches[int(source)]), x.shape[-2:])
        return x


def neighbours(target: int, num_branches: int) -> list[int]:
    """The incoming branches that an outgoing one sums."""
    return [i for i in range(num_branches) if abs(i - target) <= 1]


def upsample(x: Tensor, size: Sequence[int]) -> Tensor:
    """Double by the nearest pixel, then fit to (h, w) bilinearly."""
    x = F.interpolate(x, scale_factor=2, mode='nearest')
    return x if x.shape[-2:] == size else resize(x, size)
