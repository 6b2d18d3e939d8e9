"""Streams: maps between two deployed parts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stream:
    """Channels of a map: where they lie, what is still to be added to them.

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
    def of(cls, channels: int, step: int = 1) -> 'Stream':
        """Return a stream of a width that is a multiple of ``step``."""
        width = rounded(channels, step)
        return cls(torch.arange(channels), width)

    @classmethod
    def joined(cls, streams: Sequence['Stream']) -> 'Stream':
        """Return the stream of several maps that are concatenated."""
        slots, width = [], 0
        for stream in streams:
            slots.append(stream.slots + width)
            width += stream.width
        return cls(torch.cat(slots), width, _joined_constant(streams))

    def adding(self, constant: Tensor | None) -> 'Stream':
        """Return the stream with one more constant to be added."""
        if constant is None:
            return self
        if self.constant is not None:
            constant = self.constant + constant
        return Stream(self.slots, self.width, constant)

    def like(self, other: 'Stream') -> bool:
        """Return whether the channels of both lie in the same places."""
        return self.width == other.width and torch.equal(
            self.slots, other.slots
        )

    def columns(self, weight: Tensor) -> Tensor:
        """Make weights for the channels fit the map.

        Shape:
            (O, C, ...) -> (O, width, ...)
        """
        return self.rows(weight.transpose(0, 1)).transpose(0, 1)

    def rows(self, weight: Tensor) -> Tensor:
        """Make weights that give the channels give the map.

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


def _joined_constant(streams: Sequence[Stream]) -> Tensor | None:
    known = [s.constant for s in streams if s.constant is not None]
    if not known:
        return None
    zeros = known[0].new_zeros
    return torch.cat(
        [
            zeros(len(s.slots)) if s.constant is None else s.constant
            for s in streams
        ]
    )


def rounded(count: int, step: int) -> int:
    """Return the lowest multiple of ``step`` that is at least ``count``."""
    return -(-count // step) * step
