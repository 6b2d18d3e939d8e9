"""Keep what is known of the channels of each tensor in a forward pass."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from .layers import TensorName
from .numbers import ChannelNumbers, compact


class Place(NamedTuple):
    """Dimension of a parameter or buffer, by names in the model."""

    module: str
    tensor: str
    dim: int


class Source(NamedTuple):
    """Name where the values of a map come from.

    Attributes:
        name: Name of a norm, or of what no norm follows.
        switches: Whether they are zero in channels in which the norm's scale
            and shift are.
    """

    name: str
    switches: bool


Sources = frozenset[Source]


class Mark(NamedTuple):
    """Describe a tensor: the channels of its values, and their sources."""

    numbers: Tensor
    sources: Sources


class Marks:
    """The marks of all tensors in a forward pass.

    Args:
        names: Names of the model's own tensors, by id.
        at_work: Names of the modules that are at work; the caller keeps it up
            to date.

    Attributes:
        numbers: Numbers of the channels.
        places: Numbers of the channels along dimensions of the model's
            tensors.
        origin: Numbers of the values that come from a source.
        active: Names of the modules that are at work whenever a module's
            tensors are used, by its name.
        other_uses: Modules whose weights are not only used by layers.
    """

    def __init__(
        self, names: Mapping[int, TensorName], at_work: Sequence[str]
    ) -> None:
        self.numbers = ChannelNumbers()
        self.places: dict[Place, Tensor] = {}
        self.origin: dict[Source, Tensor] = {}
        self.active: dict[str, set[str]] = {}
        self.other_uses: set[str] = set()
        self._names, self._at_work = names, at_work
        self._of: dict[int, Mark] = {}

    def concern(self, tensors: Iterable[Tensor]) -> bool:
        """Return whether any of the tensors is the model's or is marked."""
        return any(id(t) in self._of or id(t) in self._names for t in tensors)

    def get(self, tensor: Tensor) -> Mark | None:
        """Return the mark of a tensor, if it has one."""
        return self._of.get(id(tensor))

    def set(self, tensor: Tensor, numbers: Tensor, sources: Sources) -> None:
        """Mark a tensor; channels along more than one dimension stay."""
        numbers = compact(numbers)
        if sum(n > 1 for n in numbers.shape) > 1:
            self.numbers.keep(numbers, 'its channels are mixed with others')
        self._of[id(tensor)] = Mark(numbers, sources)

    def numbers_of(self, tensor: Tensor) -> Tensor:
        """Return a tensor's numbers; a vector of weights begins new ones."""
        if id(tensor) in self._of:
            return self._of[id(tensor)].numbers
        name = self._names.get(id(tensor))
        long = [d for d, n in enumerate(tensor.shape) if n > 1]
        if name is not None and len(long) > 1:
            self.other_uses.add(name.module)
        if name is None or len(long) != 1:
            return torch.zeros((1,) * tensor.dim(), dtype=torch.long)
        place = Place(*name, long[0])
        self.note(place, self.new(place, tensor.numel()))
        numbers = self.places[place].view(tensor.shape)
        self.set(tensor, numbers, self.begin('.'.join(name), numbers))
        return numbers

    def line(self, tensor: Tensor) -> Tensor:
        """Return the number of each channel of a map (B, C, ...), as (C,)."""
        numbers = self.numbers_of(tensor)
        if numbers.numel() != numbers.shape[1]:
            self.numbers.keep(numbers, 'its channels are mixed with pixels')
            numbers = torch.zeros(1, dtype=torch.long)
        return numbers.flatten().expand(tensor.shape[1])

    def keep(self, values: Any, reason: str) -> None:
        """Keep all channels of the tensors in a tree of values."""
        for tensor in tensors_in(values):
            self.numbers.keep(self.numbers_of(tensor), reason)

    def new(self, place: Place, n: int) -> Tensor:
        """Return the numbers along a dimension, n new ones at first."""
        known = self.places.get(place)
        return self.numbers.new(n) if known is None else known

    def note(self, place: Place, numbers: Tensor) -> None:
        """Note the numbers along a dimension; of a second use, join them."""
        known = self.places.setdefault(place, numbers)
        if known is not numbers:
            pairs = torch.stack([known, numbers]).T.tolist()
            self.numbers.join(pairs, 'its layer also reads what has to stay')
        now = set(self._at_work)
        self.active.setdefault(place.module, now).intersection_update(now)

    def sources_of(self, tensors: Iterable[Any]) -> Sources:
        """Return the sources of several tensors."""
        marks = [self._of[id(t)] for t in tensors if id(t) in self._of]
        return frozenset(source for mark in marks for source in mark.sources)

    def begin(
        self, name: str, numbers: Tensor, switches: bool = False
    ) -> Sources:
        """Return a new source, with the numbers of what comes from it."""
        source = Source(name, switches)
        self.origin[source] = numbers.flatten()
        return frozenset([source])

    def live(self, sources: Sources) -> Sources:
        """Return the sources of values that no norm makes zero any more."""
        begun = (self.begin(s.name, self.origin[s]) for s in sources)
        return frozenset(source for found in begun for source in found)


def tensors_in(values: Any) -> list[Tensor]:
    """Return the tensors in a tree of values."""
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
