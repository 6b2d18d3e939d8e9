"""Layouts of the maps between two deployed modules."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ChannelLayout:
    """Layout of a padded map, and a constant still to be added.

    Args:
        slots: Index in the map of each of the C channels, (C,). What is in
            other places of the map is ignored.
        width: Number of channels of the map, at least C.
        constant: What is still to be added to each channel, (C,); None for
            nothing.
    """

    slots: Tensor
    width: int
    constant: Tensor | None = None

    @classmethod
    def of(cls, channels: int, step: int = 1) -> 'ChannelLayout':
        """Return a layout of a width that is a multiple of ``step``."""
        width = rounded(channels, step)
        return cls(torch.arange(channels), width)

    @classmethod
    def joined(cls, layouts: Sequence['ChannelLayout']) -> 'ChannelLayout':
        """Return the layout of several maps that are concatenated."""
        slots, width = [], 0
        for layout in layouts:
            slots.append(layout.slots + width)
            width += layout.width
        return cls(torch.cat(slots), width, _joined_constant(layouts))

    def adding(self, constant: Tensor | None) -> 'ChannelLayout':
        """Return the layout with one more constant to be added."""
        if constant is None:
            return self
        if self.constant is not None:
            constant = self.constant + constant
        return ChannelLayout(self.slots, self.width, constant)

    def like(self, other: 'ChannelLayout') -> bool:
        """Return whether the channels of both lie in the same places."""
        return self.width == other.width and torch.equal(
            self.slots, other.slots
        )

    def columns(self, weight: Tensor) -> Tensor:
        """Pad a weight's input channels to the map's width.

        Shape:
            (O, C, ...) -> (O, width, ...)
        """
        return self.rows(weight.transpose(0, 1)).transpose(0, 1)

    def rows(self, weight: Tensor) -> Tensor:
        """Pad a weight's output channels to the map's width.

        Shape:
            (C, ...) -> (width, ...), zeros where no channel is
        """
        out = weight.new_zeros(self.width, *weight.shape[1:])
        out[self.slots] = weight
        return out

    def after(self, weight: Tensor) -> Tensor:
        """Return what weights (O, C) make of the constant, (O,)."""
        if self.constant is None:
            return weight.new_zeros(weight.shape[0])
        return weight @ self.constant


def _joined_constant(layouts: Sequence[ChannelLayout]) -> Tensor | None:
    known = [s.constant for s in layouts if s.constant is not None]
    if not known:
        return None
    zeros = known[0].new_zeros
    return torch.cat(
        [
            zeros(len(s.slots)) if s.constant is None else s.constant
            for s in layouts
        ]
    )


def rounded(count: int, step: int) -> int:
    """Return the lowest multiple of ``step`` that is at least ``count``."""
    return -(-count // step) * step
