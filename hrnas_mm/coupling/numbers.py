"""Numbers that stand for the channels of a network."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

KEPT = 0  # number of values that belong to no channel that may go


class ChannelNumbers:
    """Numbers of channels, of which some turn out to be the same channel.

    The numbers of a tensor's values have as many dimensions as the tensor, and
    size 1 along those in which they are all the same.
    """

    def __init__(self) -> None:
        self._parent = [KEPT]
        self._reasons: dict[int, str] = {}  # why channels stay

    def new(self, n: int) -> Tensor:
        """Return n numbers that were not used before, (n,)."""
        first = len(self._parent)
        self._parent += range(first, first + n)
        return torch.arange(first, first + n)

    def _root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def join(self, pairs: Iterable[Sequence[int]], reason: str) -> None:
        """Let the numbers of each pair stand for the same channel.

        Args:
            pairs: Pairs of numbers.
            reason: Why a channel stays that is joined with ``KEPT``.
        """
        for low, high in (sorted(map(self._root, pair)) for pair in pairs):
            if low == KEPT != high:
                self._reasons.setdefault(high, reason)
            elif low != high:
                self._parent[high] = low
                if high in self._reasons:
                    self._reasons.setdefault(low, self._reasons[high])

    def keep(self, numbers: Tensor, reason: str) -> None:
        """Keep channels, whatever else is found out about them."""
        self.join(((KEPT, i) for i in numbers.unique().tolist()), reason)

    def reason(self, numbers: Tensor) -> str | None:
        """Return why the first of some channels stays that does, if any."""
        roots = map(self._root, numbers.tolist())
        return next(
            (self._reasons[i] for i in roots if i in self._reasons), None
        )

    def settled(self, numbers: Tensor) -> Tensor:
        """Return one number for each channel, and ``KEPT`` where it stays."""
        values, places = numbers.unique(return_inverse=True)
        roots = [self._root(value) for value in values.tolist()]
        free = [KEPT if i in self._reasons else i for i in roots]
        return torch.tensor(free, dtype=torch.long)[places]

    def meet(self, operands: Sequence[tuple[Sequence[int], Tensor]]) -> Tensor:
        """Return the numbers of the result of an elementwise operator.

        Channels that meet are the same from now on. A map of one channel that
        meets all channels of another keeps that one channel, and no other.

        Args:
            operands: Shapes, of the same length, with the values' numbers.
        """
        (shape, numbers), *others = operands
        for other_shape, other in others:
            both = torch.stack(torch.broadcast_tensors(numbers, other))
            single = [
                one
                for one, its_shape, many in (
                    (numbers, shape, other),
                    (other, other_shape, numbers),
                )
                if many.numel() > 1
                and all(
                    its_shape[d] == 1
                    for d, n in enumerate(many.shape)
                    if n > 1
                )
            ]
            for one in single:
                self.keep(one, 'it is read by all channels of another map')
            if not single:
                self.join(
                    both.flatten(1).unique(dim=1).T.tolist(),
                    'it meets what is no channel of a layer',
                )
            shape = torch.broadcast_shapes(tuple(shape), tuple(other_shape))
            numbers = torch.where(both[0] == KEPT, both[1], both[0])
        return numbers


def compact(numbers: Tensor) -> Tensor:
    """Cut dimensions in which all numbers are the same down to size 1."""
    for dim in range(numbers.dim()):
        if is_flat(numbers, dim):
            numbers = numbers.narrow(dim, 0, 1)
    return numbers


def is_flat(numbers: Tensor, dim: int) -> bool:
    """Return whether numbers are the same all along a dimension."""
    return bool((numbers == numbers.narrow(dim, 0, 1)).all())
