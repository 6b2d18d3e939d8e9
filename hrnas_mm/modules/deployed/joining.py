"""A block that reads several maps at once, without joining them first.

A 1x1 convolution of maps that are resized and concatenated is the sum of the
resized outputs of one 1x1 convolution for each map, at its own size. That is
less where the outputs are fewer than the maps' channels, and where an output
reads one map only, as in a grouped shortcut.
"""

from collections.abc import Sequence
from itertools import groupby
from math import prod

import torch
from torch import Tensor, nn

from ...search.formulas import strided
from ..primitives.resizing import join_maps, resize
from .block import Deployable, Sum, finished, summed
from .channel_layout import ChannelLayout
from .convs import conv_of
from .form import Form
from .transformer import DeployedTransformer

Maps = Sequence[Tensor]


class SplitPointwise(nn.Module):
    """A 1x1 convolution of maps that would be resized and concatenated.

    Args:
        weight: Weight (C_out, C) for all C channels of the maps.
        bias: Shape (C_out,).
        widths: Channels of each map, the largest map first.

    Shape:
        [(B, C_i, H_i, W_i)] -> (B, C_out, H_0, W_0)
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, widths: Sequence[int]
    ) -> None:
        super().__init__()
        self.rows = nn.ModuleList()
        for start, stop, read in rows_by_maps(weight, widths):
            columns = weight[start:stop].split(list(widths), 1)
            convs = {}
            for i in read:
                last = i == read[0]  # it is added last, and has the bias
                added = bias[start:stop]
                convs[str(i)] = conv_of(
                    columns[i], added if last else torch.zeros_like(added)
                )
            self.rows.append(nn.ModuleDict(convs))

    def forward(self, maps: Maps) -> Tensor:
        outputs = [self._sum(convs, maps) for convs in self.rows]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)

    def _sum(self, convs: nn.Module, maps: Maps) -> Tensor:
        """Add up the outputs, from the smallest map to the largest."""
        assert isinstance(convs, nn.ModuleDict)
        size = maps[0].shape[-2:]
        total = None
        for name in reversed(list(convs)):
            out = convs[name](maps[int(name)])
            if name != '0':
                out = resize(out, size)
            total = out if total is None else total + out
        assert total is not None
        return total


def rows_by_maps(
    weight: Tensor, widths: Sequence[int]
) -> list[tuple[int, int, tuple[int, ...]]]:
    """Return rows (start, stop) of a weight, and which maps they read.

    Rows of zeros count to those before them.
    """
    parts = weight.split(list(widths), 1)
    reads = torch.stack([part.ne(0).any(1) for part in parts], 1)
    every = [tuple(row.nonzero().flatten().tolist()) for row in reads]
    first = next((read for read in every if read), (0,))
    found = []
    for read in every:
        first = read or first
        found.append(first)
    rows, start = [], 0
    for read, group in groupby(found):
        stop = start + len(list(group))
        rows.append((start, stop, read))
        start = stop
    return rows


class SplitSum(Sum):
    """A deployed block whose 1x1 convolutions read maps of several sizes.

    Shape:
        [(B, C_i, H_i, W_i)] -> (B, C_out, H_0, W_0)
    """


class JoinedSum(nn.Module):
    """A deployed block that reads maps of several sizes, joined.

    Shape:
        [(B, C_i, H_i, W_i)] -> (B, C_out, H_0, W_0)
    """

    def __init__(self, block: Sum) -> None:
        super().__init__()
        self.block = block

    def forward(self, maps: Maps) -> Tensor:
        return self.block(join_maps(maps))


class OfOneRow(nn.Module):
    """A deployed block of several maps, which come in one row: for timing.

    Args:
        block: What :func:`deployed_joining` returned.
        shapes: (C, H, W) of each map, the largest map first.

    Shape:
        (B, sum of C_i * H_i * W_i), all maps in a row -> (B, C_out, H_0, W_0)
    """

    def __init__(
        self, block: nn.Module, shapes: Sequence[Sequence[int]]
    ) -> None:
        super().__init__()
        self.block = block
        self.shapes = [tuple(shape) for shape in shapes]

    def forward(self, x: Tensor) -> Tensor:
        rows = x.split([prod(shape) for shape in self.shapes], 1)
        return self.block(
            [row.unflatten(1, s) for row, s in zip(rows, self.shapes)]
        )


def deployed_joining(
    block: Deployable, form: Form, layouts: Sequence[ChannelLayout]
) -> nn.Module:
    """Return the deployed form of a block that reads several maps.

    Args:
        block: Block of the maps, resized and concatenated.
        form: Form that it is deployed in.
        layouts: Layout of each map, the largest map first.
    """
    source = ChannelLayout.joined(layouts)
    target = ChannelLayout.of(block.out_channels)
    joined = finished(*summed(block, form, source, target))
    return _fastest(joined, form.at(block), layouts)


def joining_alone(
    block: Deployable, form: Form, size: tuple[int, int]
) -> tuple[nn.Module, tuple[int, ...]]:
    """Return what a block adds to its shortcut, and the shape of its input.

    Args:
        block: Block that reads several maps, see ``Deployable.joined``.
        form: Form that it is deployed in.
        size: Height and width of the largest map.
    """
    layouts = [ChannelLayout.of(c, form.step) for c, _ in block.joined]
    source = ChannelLayout.joined(layouts)
    target = ChannelLayout.of(block.out_channels)
    terms = block.terms(form, source, target)
    alone = _fastest(terms.beside_shortcut(), form.at(block), layouts)
    shapes = [
        (layout.width, *strided(size, stride))
        for layout, (_, stride) in zip(layouts, block.joined)
    ]
    return OfOneRow(alone, shapes), (sum(map(prod, shapes)),)


def _fastest(
    block: Sum, form: Form, layouts: Sequence[ChannelLayout]
) -> nn.Module:
    widths = [layout.width for layout in layouts]
    split = split_where_faster(block, widths, form)
    return split if isinstance(split, SplitSum) else JoinedSum(split)


def split_where_faster(block: Sum, widths: Sequence[int], form: Form) -> Sum:
    """Return a block for the maps as they are, if that is faster.

    Which is faster, the constants say unless the form settles it.

    Args:
        block: Deployed block for the maps resized and concatenated; with
            ``fuse='never'`` it is returned as it is.
        widths: Channels of each map, the largest map first.
    """
    readers = {name: _reader(module) for name, module in block.items()}
    splits = len(widths) > 1 and block.constant is None
    if form.fuse == 'never' or not splits or None in readers.values():
        return block
    weights = [conv.weight.flatten(1) for conv in readers.values() if conv]
    faster = form.choice.split
    if faster is None:
        split = sum(_time_split(weight, widths, form) for weight in weights)
        faster = split < _time_joined(weights, widths, form)
    if not faster:
        return block
    return SplitSum({n: _split(m, widths) for n, m in block.items()})


def _time_joined(
    weights: Sequence[Tensor], widths: Sequence[int], form: Form
) -> float:
    """Estimate the ns per pixel of joining the maps and reading them."""
    constants = form.constants
    outputs = sum(weight.shape[0] for weight in weights)
    moved = 2 * sum(widths) - widths[0]  # the lower maps resized, all copied
    return constants.mac * outputs * sum(widths) + constants.resize * moved


def _time_split(weight: Tensor, widths: Sequence[int], form: Form) -> float:
    """Estimate the ns per pixel of reading each map at its own size.

    Convolutions of the lower maps, which have few pixels, count nothing.
    """
    constants = form.constants
    rows = rows_by_maps(weight, widths)
    copied = weight.shape[0] if len(rows) > 1 else 0
    time = constants.resize * copied
    for start, stop, read in rows:
        lower = len(set(read) - {0})
        each = lower * (constants.resize + constants.add)
        if 0 in read:
            each += constants.mac * widths[0]
        time += (stop - start) * each
    return time


def _reader(module: nn.Module) -> nn.Conv2d | None:
    """Return the 1x1 convolution by which a part reads its input."""
    if isinstance(module, nn.Sequential):
        return _reader(module[0])
    if isinstance(module, DeployedTransformer):
        return module.project_in
    return module if isinstance(module, nn.Conv2d) else None


def _split(module: nn.Module, widths: Sequence[int]) -> nn.Module:
    conv = _reader(module)
    assert conv is not None
    assert conv.bias is not None
    weight, bias = conv.weight.flatten(1), conv.bias
    if isinstance(module, DeployedTransformer):
        # Its own projection, with the bias, comes after resizing.
        tokens = torch.eye(len(weight)).to(weight)
        module.project_in = conv_of(tokens, bias)
        bias = torch.zeros_like(bias)
        return nn.Sequential(SplitPointwise(weight, bias, widths), module)
    first = SplitPointwise(weight, bias, widths)
    if isinstance(module, nn.Sequential):
        return nn.Sequential(first, *list(module)[1:])
    return first
