"""The fusion module for inference."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ..resizing import upsample
from .block import Sum, add_, finished, summed
from .form import Form
from .stream import Stream


class DeployedFusion(nn.Module):
    """Sums of neighbours, in which each block adds onto those before it.

    Args:
        fuse: Blocks by target and source.
        grow: Block of the new branch, or None.
        act: Activation of the sums.
        outputs: Indices of the branches to return.

    Shape:
        As :class:`~hrnas_mm.modules.FusionModule`
    """

    def __init__(
        self,
        fuse: Mapping[str, Mapping[str, Sum]],
        grow: Sum | None,
        act: nn.Module,
        outputs: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.fuse = nn.ModuleDict(
            {target: nn.ModuleDict(blocks) for target, blocks in fuse.items()}
        )
        self.grow = grow
        self.act = act
        self.outputs = outputs

    def forward(self, branches: Mapping[int, Tensor]) -> dict[int, Tensor]:
        fused = {
            int(target): self.act(self._sum(blocks, branches, int(target)))
            for target, blocks in self.fuse.items()
        }
        if self.grow is not None:
            lowest = max(fused)
            fused[lowest + 1] = self.grow(fused[lowest])
        return {i: fused[i] for i in self.outputs}

    def _sum(
        self, blocks: Any, branches: Mapping[int, Tensor], target: int
    ) -> Tensor | None:
        total = None
        for name in sorted(blocks, key=int, reverse=True):
            x = branches[int(name)]
            if int(name) > target:
                out = upsample(blocks[name](x), branches[target].shape[-2:])
                total = out if total is None else total + out
            else:
                total = blocks[name](x, total)
        return total


def deployed_fusion(
    fuse: Any,
    grow: Any,
    act: nn.Module,
    outputs: tuple[int, ...],
    form: Form,
    streams: Mapping[int, Stream],
) -> tuple[DeployedFusion, dict[int, Stream]]:
    """Return the deployed form of a fusion module, and its streams.

    Args:
        fuse, grow, act, outputs: Those of the fusion module.
        streams: Stream of each incoming branch.
    """
    sums, fused = {}, {}
    for name, blocks in fuse.items():
        out_channels = blocks[name].out_channels
        fused[int(name)] = target = Stream.of(out_channels, form.step)
        sums[name] = _onto_each_other(blocks, form, streams, target)
    if grow is not None:
        lowest = max(fused)
        target = Stream.of(grow.out_channels, form.step)
        grow, fused[lowest + 1] = summed(grow, form, fused[lowest], target)
    deployed = DeployedFusion(sums, grow, act, outputs)
    return deployed, {i: fused[i] for i in outputs}


def _onto_each_other(
    blocks: Any,
    form: Form,
    streams: Mapping[int, Stream],
    target: Stream,
) -> dict[str, Sum]:
    """Deploy blocks whose outputs are summed: one takes what others leave."""
    left = target
    sums: dict[str, Sum] = {}
    for source, block in blocks.items():
        sums[source], stream = summed(
            block, form, streams[int(source)], target
        )
        left = left.adding(stream.constant)
    if left.constant is not None:
        constant = left.rows(left.constant)
        if not any(add_(module, constant) for module in sums.values()):
            first = next(iter(sums))
            sums[first] = finished(sums[first], left)
    return sums
