"""Cutting where a cost falls in steps: the best bargain first."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from operator import attrgetter
from typing import NamedTuple

from torch import Tensor

from .cost_model import CostModel
from .shrink import Keep, most_important


class Bargain(NamedTuple):
    """Elements of one part that go together.

    Attributes:
        rate: Importance lost per cost saved.
        saved: Cost saved, with the opposite sign: the larger one goes first.
        counts: Numbers of elements of the part's units that are left.
    """

    rate: float
    saved: float
    counts: Mapping[str, int]


def select_bargains(
    importance: Mapping[str, Tensor],
    threshold: float,
    cost_model: CostModel,
    limits: tuple[float, float],
) -> Keep:
    """Select the elements to keep so that the cost comes within limits.

    Elements go in groups that save something: the least important ones of a
    unit, of a module or of a part, down to a multiple of the cost's step, or
    all. What loses the least importance for what it saves goes first. Dead
    elements lose nothing, and go as long as the cost stays above the lower
    limit; those that save nothing stay, as they may come alive again. If the
    upper limit is not met by what stays above the lower one, the last to go
    is what loses the least importance at all.

    Source: the knapsack of HALP (Shen et al., NeurIPS 2022), taken greedily.

    Args, returns: See :func:`~hrnas_mm.search.select_within`.
    """
    cut = _Cut(importance, threshold, cost_model)
    lowest, highest = limits
    cut.take_(lowest, highest)
    cut.go_below_(highest)
    return most_important(importance, cut.alive)


_by_rate = attrgetter('rate', 'saved')


def _by_loss(bargain: Bargain) -> tuple[float, float]:
    return bargain.rate * -bargain.saved, -bargain.saved


class _Cut:
    """A network, and the bargains of each of its parts."""

    def __init__(
        self,
        importance: Mapping[str, Tensor],
        threshold: float,
        cost_model: CostModel,
    ) -> None:
        self.cost_model = cost_model
        self.losses = {
            name: [
                v if v >= threshold else 0.0 for v in value.sort()[0].tolist()
            ]
            for name, value in importance.items()
        }
        self.alive = {name: len(value) for name, value in importance.items()}
        self.left = sum(self.alive.values())
        self.searched = sum(
            cost_model.part(name, self.alive) for name in cost_model.parts
        )
        self.bargains = {name: self._of(name) for name in cost_model.parts}

    def take_(self, lowest: float, highest: float) -> None:
        """Take bargains down to ``highest``, all dead ones to ``lowest``."""
        while best := self._best(_by_rate, lowest):
            bargain, name = best
            if self.cost() <= highest and bargain.rate > 0:
                return
            self._take_(bargain, name)

    def go_below_(self, highest: float) -> None:
        """Come below ``highest``, however far, and lose little."""
        while self.cost() > highest:
            best = self._best(_by_loss)
            if best is None:
                return
            self._take_(*best)

    def _best(
        self,
        order: Callable[[Bargain], tuple[float, float]],
        lowest: float = -math.inf,
    ) -> tuple[Bargain, str] | None:
        """Return a bargain that can be taken, with the name of its part.

        Args:
            order: Key by which the first one is chosen.
            lowest: Cost below which it must not lead.
        """
        best: tuple[Bargain, str] | None = None
        first = math.inf, math.inf
        for name, bargains in self.bargains.items():
            for bargain in bargains:
                place = order(bargain)
                if (
                    place < first
                    and self._leaves_some(bargain)
                    and self.cost(bargain.saved) >= lowest
                ):
                    best, first = (bargain, name), place
        return best

    def _take_(self, bargain: Bargain, name: str) -> None:
        self.alive.update(bargain.counts)
        self.left = sum(self.alive.values())
        self.searched += bargain.saved
        self.bargains[name] = self._of(name)

    def cost(self, saved: float = 0.0) -> float:
        """Return the cost of the network without so much of its parts."""
        return self.cost_model.add_up(self.searched + saved)

    def _leaves_some(self, bargain: Bargain) -> bool:
        """Return whether any element of the network is left."""
        gone = sum(self.alive[u] - n for u, n in bargain.counts.items())
        return gone < self.left

    def _of(self, name: str) -> list[Bargain]:
        """Return the bargains of a part as it is now."""
        now = self.cost_model.part(name, self.alive)
        found = []
        for pool in self._pools(name):
            for lost, counts in self._left(pool):
                left = self.cost_model.part(name, {**self.alive, **counts})
                if now - left > 1e-9 * max(self.searched, 0.0):
                    found.append(
                        Bargain(lost / (now - left), left - now, counts)
                    )
        return found

    def _pools(self, name: str) -> Iterator[Sequence[str]]:
        """Yield groups of units: each alone, by module, and the whole part."""
        units = self.cost_model.parts[name].units
        there = [unit for unit in units if self.alive.get(unit)]
        yield from ([unit] for unit in there)
        modules = sorted({units[unit].searchable for unit in there})
        for module in modules:
            pool = [u for u in there if units[u].searchable == module]
            if len(pool) > 1:
                yield pool
        if len(modules) > 1:
            yield there

    def _left(
        self, pool: Sequence[str]
    ) -> Iterator[tuple[float, dict[str, int]]]:
        """Yield (importance lost, counts left) of a group of units."""
        counts = {unit: self.alive[unit] for unit in pool}
        total, lost = sum(counts.values()), 0.0
        step = self.cost_model.cost.step or 1
        for loss, unit in merge(*(self._rising(unit) for unit in pool)):
            counts[unit] -= 1
            lost += loss
            total -= 1
            if total % step == 0 or len(pool) == 1 and total < step:
                yield lost, dict(counts)

    def _rising(self, unit: str) -> Iterator[tuple[float, str]]:
        losses = self.losses[unit]
        for loss in losses[len(losses) - self.alive[unit] :]:
            yield loss, unit
