"""Choosing the modules that declare groups of channels: the blocks."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from ...coupling import Coupling, Place, TensorName
from ...search.units import is_inside
from .groups import Group, groups_of, reason_to_stay

WIDTHS = ('blocks', 'all')
# How many times as much blocks have to save as one block, rather than apart
# and without the channels between them, so that they become one.
GAIN = 1.05

Owned = dict[str, list[Group]]


class Blocks:
    """Modules that declare groups of channels, for each choice of ``widths``.

    Args:
        model: The model.
        coupling: What its trace has shown.
        positions: See :func:`~hrnas_mm.modules.stock.positions.positions_of`.

    Attributes:
        reasons: Why the output channels of layers stay, by the layer's name.
        between: The same for those that stay only because they do not lie
            inside one block.
    """

    def __init__(
        self,
        model: nn.Module,
        coupling: Coupling,
        positions: Mapping[TensorName, int],
    ) -> None:
        self._model, self._coupling = model, coupling
        self._positions = positions
        self.reasons = {
            name.module: reason for name, reason in coupling.reasons.items()
        }
        self.between: dict[str, str] = {}
        self._groups: list[Group] = []
        for group in groups_of(coupling):
            reason = reason_to_stay(model, coupling, group)
            if reason is None:
                self._groups.append(group)
            else:
                self.reasons[group.layer.module] = reason

    def keep_(self, units: Mapping[str, str]) -> None:
        """Let groups stay that turn out to be needed.

        Args:
            units: Reasons, by the name of the group's unit.
        """
        for group in self._groups:
            if group.name in units:
                self.reasons[group.layer.module] = units[group.name]
        self._groups = [g for g in self._groups if g.name not in units]

    def whole(self) -> Owned:
        """Return all groups: the model itself is the only block."""
        return {'': self._groups} if self._groups else {}

    def apart(self) -> Owned:
        """Return the groups that lie inside one block, by its name.

        A block is the innermost module that has the group whole. Groups that
        reach into blocks further inside stay, unless one larger block could
        save much more.
        """
        owned, found = self._by_innermost(), Owned()
        for owner in sorted(owned, key=len, reverse=True):
            inner = {n: g for n, g in found.items() if is_inside(n, owner)}
            around_all = inner and all(is_inside(n, owner) for n in owned)
            between = [
                group
                for group in owned[owner]
                if around_all or any(self._reaches(group, n) for n in inner)
            ]
            free = [group for group in owned[owner] if group not in between]
            apart = [*free, *(g for groups in inner.values() for g in groups)]
            joint = [*apart, *between]
            if not around_all and self._saved(joint) > GAIN * self._saved(
                apart
            ):
                found = {n: g for n, g in found.items() if n not in inner}
                found[owner] = joint
                continue
            for group in between:
                self.between[group.layer.module] = 'it lies between blocks'
            if free:
                found[owner] = free
        return found

    def share(self, owned: Owned) -> float:
        """Return the share of all layers' multiply-adds that can go."""
        total = sum(
            positions * self._weight(name).numel()
            for name, positions in self._positions.items()
        )
        groups = [group for groups in owned.values() for group in groups]
        return self._saved(groups) / max(total, 1)

    def _by_innermost(self) -> Owned:
        owned = defaultdict[str, list[Group]](list)
        for group in self._groups:
            owner = max(self._containing(group), key=len, default=None)
            if len(group.norms) > 1:
                reason = 'several layers add up to it'
                self.between[group.layer.module] = reason
            elif owner is None:
                reason = 'no module that takes one map contains it'
                self.between[group.layer.module] = reason
            else:
                owned[owner].append(group)
        return owned

    def _containing(self, group: Group) -> Iterator[str]:
        """Yield the modules in which a group of channels begins and ends."""
        modules = {place.module for place in group.places}
        active = (self._coupling.active[module] for module in modules)
        for name in set.intersection(*active) & self._coupling.inputs.keys():
            if all(is_inside(module, name) for module in modules):
                yield name

    def _reaches(self, group: Group, module: str) -> bool:
        """Return whether a group enters a module, or has weights in it."""
        _, entering = self._coupling.inputs[module]
        return bool(torch.isin(group.numbers, entering).any()) or any(
            is_inside(place.module, module) for place in group.places
        )

    def _saved(self, groups: Sequence[Group]) -> int:
        """Return the multiply-adds that go with all channels but one each."""
        gone = torch.tensor(
            [i for g in groups for i in g.numbers[1:].tolist()]
        )
        names = {TensorName(*place[:2]) for g in groups for place in g.places}
        saved = 0
        for name in names & self._positions.keys():
            weight = self._weight(name)
            left = weight.numel()
            for dim, n in enumerate(weight.shape):
                line = self._coupling.places.get(Place(*name, dim))
                if line is not None:
                    left = left // n * int((~torch.isin(line, gone)).sum())
            saved += self._positions[name] * (weight.numel() - left)
        return saved

    def _weight(self, name: TensorName) -> torch.Tensor:
        return getattr(self._model.get_submodule(name.module), name.tensor)
