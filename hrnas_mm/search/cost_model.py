"""The cost of any network of a supernet, for any kind of cost."""

from collections import Counter
from collections.abc import (
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from copy import copy
from functools import lru_cache

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from .chains import chains_in, settled
from .cost import MACS, Cost
from .trace import trace
from .units import Part, UnitFacts, named_parts, named_search_units


class CostModel:
    """Cost of a model for any number of elements.

    The model is traced once. After that everything is arithmetic on what its
    parts declare, exact for any architecture of this supernet.

    Args:
        model: The supernet.
        input_shape: (C, H, W) of one image.
        cost: Kind of cost that is counted.
        traced: See :func:`~hrnas_mm.search.trace`.

    Raises:
        ValueError: If the model has no search units.
    """

    def __init__(
        self,
        model: nn.Module,
        input_shape: Sequence[int],
        cost: Cost = MACS,
        traced: nn.Module | None = None,
    ) -> None:
        if not named_search_units(model):
            raise ValueError(
                f'{type(model).__name__} must have search units, got a model '
                'without any'
            )
        self._trace = trace(model, input_shape, traced)
        self.parts = named_parts(model, self._trace.sizes)
        self.part_of = {
            unit: name
            for name, part in self.parts.items()
            for unit in part.units
        }
        self.supernet = {
            unit: self.parts[name].units[unit].elements
            for unit, name in self.part_of.items()
        }
        self.chains = chains_in(self.parts.values())
        self.layers = _layers_in(self.parts.values())
        self._set_cost_(cost)
        # The models for all costs that were asked for, shared by them all.
        self._family: dict[Cost, CostModel] = {cost: self}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return (C, H, W) of the image for which costs are counted."""
        return self._trace.input_shape

    def counting(self, cost: Cost) -> 'CostModel':
        """Return the model for another cost, without tracing again."""
        if cost not in self._family:
            model = copy(self)
            model._set_cost_(cost)
            self._family[cost] = model
        return self._family[cost]

    def _set_cost_(self, cost: Cost) -> None:
        self.cost = cost
        self.least = {
            unit: self._least(self.parts[name].units[unit])
            for unit, name in self.part_of.items()
        }
        # A cut asks for the cost of the same counts again and again.
        self._cost_of = lru_cache(maxsize=2**16)(self._ask)
        searched = sum(self._parts(self.supernet))
        self.rest = cost.rest(self._trace, searched)

    def _least(self, facts: UnitFacts) -> int:
        empties = self.cost.cut.may_empty_parts
        return facts.least if empties else max(facts.least, facts.chained)

    def _ask(self, name: str, counts: tuple[int, ...]) -> float:
        part = self.parts[name]
        return self.cost.part(part, dict(zip(part.units, counts)))

    def _parts(self, architecture: Mapping[str, int]) -> Iterator[float]:
        return (self.part(name, architecture) for name in self.parts)

    def _counts(
        self, name: str, architecture: Mapping[str, int]
    ) -> dict[str, int]:
        units = self.parts[name].units
        return {unit: architecture.get(unit, 0) for unit in units}

    def part(self, name: str, architecture: Mapping[str, int]) -> float:
        """Return the cost of a part; units not named have no elements."""
        counts = self._counts(name, architecture)
        return self._cost_of(name, tuple(counts.values()))

    def total(self, architecture: Mapping[str, int]) -> float:
        """Return the cost of the model; units not named have no elements."""
        return self.add_up(sum(self._parts(architecture)))

    def settled(self, architecture: Mapping[str, int]) -> dict[str, int]:
        """Return the architecture without elements that are of no use."""
        return settled(architecture, self.chains)

    def one_of(self, unit: str) -> dict[str, int]:
        """Return one element of a unit, and of those it is chained with."""
        chains = (chain for chain in self.chains if unit in chain)
        return dict.fromkeys(next(chains, [unit]), 1)

    def saves_together(self, name: str, searchable: str) -> bool:
        """Return whether a module's units may save something only together.

        Args:
            name: Name of the part that the module is in.
            searchable: Name of the module.
        """
        return self.cost.saves_together(self.parts[name], searchable)

    def beside(self, unit: str) -> Collection[str]:
        """Return the units on whose counts it depends what a unit saves."""
        return self.cost.beside(self.parts[self.part_of[unit]], unit)

    def add_up(self, searched: float) -> float:
        """Return the cost of the model whose parts cost so much together."""
        return self.cost.add_up(searched, self.rest)

    def macs_within(self, module: str, architecture: Mapping[str, int]) -> int:
        """Return the multiply-adds of a module, whatever this model counts.

        Args:
            module: Name of a module that contains whole parts or none.
            architecture: Number of elements by unit name; units not named
                have none.
        """
        macs = self.counting(MACS)
        gone = sum(
            macs.part(name, self.supernet) - macs.part(name, architecture)
            for name in self.parts
            if f'{name}.'.startswith(f'{module}.')
        )
        return self._trace.macs.get(module, 0) - int(gone)

    def totals(
        self, architecture: Mapping[str, int], costs: Iterable[Cost]
    ) -> dict[str, float]:
        """Return several costs of the whole model, by name of the cost."""
        return {
            cost.name: self.counting(cost).total(architecture)
            for cost in costs
        }

    def saving(
        self, architecture: Mapping[str, int], unit: str, count: int = 1
    ) -> float:
        """Return the cost saved by removing some elements of a unit."""
        name = self.part_of[unit]
        fewer = self._counts(name, architecture)
        fewer[unit] -= count
        return self.part(name, architecture) - self.part(name, fewer)

    def prices(self, architecture: Mapping[str, int]) -> dict[str, float]:
        """Return the price of one element for every unit that has some."""
        return {
            unit: self.cost.price(
                self.parts[self.part_of[unit]],
                self._counts(self.part_of[unit], architecture),
                unit,
            )
            for unit, count in architecture.items()
            if count
        }


def _layers_in(parts: Iterable[Part]) -> dict[str, int]:
    """Return the numbers of the layers of each class in a supernet's parts.

    Some, such as activations, cost nothing but time. All batch norms are of
    one class, as a run on several devices synchronises them.
    """
    layers = [layer for part in parts for layer in part.module.modules()]
    names = [
        'BatchNorm' if isinstance(layer, _BatchNorm) else type(layer).__name__
        for layer in layers
        if not any(layer.children())
    ]
    # Heads change neither the multiply-adds nor the parameters.
    heads = [getattr(layer, 'num_heads', 1) for layer in layers]
    names += [f'attention of {n} heads' for n in heads if n > 1]
    return dict(Counter(names))
