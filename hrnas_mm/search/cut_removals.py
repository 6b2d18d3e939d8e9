"""Cutting where a cost falls in steps: the best removal first."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from .cut import Cut, Limits, Priced
from .ranking import Counts, Ranking


class Removal(NamedTuple):
    """Elements of one part that go together.

    Attributes:
        rate: Score lost per cost saved.
        saved: Cost saved, with the opposite sign: the larger one goes first.
        counts: Numbers of elements of the part's units that are left.
    """

    rate: float
    saved: float
    counts: Mapping[str, int]


class BestRemovals(Cut):
    """Remove groups of elements, by the score that they lose per cost saved.

    Elements go in groups that save something: the first ones of a unit, of a
    module or of a part, down to a multiple of the step, or all. What loses the
    lowest score for what it saves goes first. Dead elements lose nothing, and
    go as long as the cost stays above the lower limit; those that save nothing
    stay, as they may come alive again. If the upper limit is not met by what
    stays above the lower one, the last to go is what loses the lowest score at
    all.

    Source: the knapsack of HALP (Shen et al., NeurIPS 2022), taken greedily.

    Args:
        step: Number of elements at whose multiples the cost changes.
    """

    importance = 'taylor'
    one_by_one = False
    may_empty_parts = True

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(
        self, ranking: Ranking, priced: Priced, limits: Limits
    ) -> Counts:
        """See :class:`~hrnas_mm.search.cut.Cut`."""
        network = _Network(ranking, priced, self.step)
        lowest, highest = limits
        network.take_(lowest, highest)
        network.go_below_(highest)
        return network.counts


_by_rate = attrgetter('rate', 'saved')


def _by_loss(removal: Removal) -> tuple[float, float]:
    return removal.rate * -removal.saved, -removal.saved


class _Network:
    """A network, and the possible removals of each of its parts."""

    def __init__(self, ranking: Ranking, priced: Priced, step: int) -> None:
        self.priced, self.step = priced, step
        # Dead elements lose nothing.
        self.losses = {
            name: [score if alive else 0.0 for alive, score, _ in places]
            for name, places in ranking.places.items()
        }
        self.counts = ranking.counts
        self.left = sum(self.counts.values())
        self.searched = self._searched()
        self.removals = {
            name: {pool: self._of(name, pool) for pool in self._pools(name)}
            for name in priced.parts
        }

    def _searched(self) -> float:
        return sum(
            self.priced.part(name, self.counts) for name in self.priced.parts
        )

    def take_(self, lowest: float, highest: float) -> None:
        """Take removals down to ``highest``, all dead ones to ``lowest``."""
        while best := self._best(_by_rate, lowest):
            removal, name = best
            if self.cost() <= highest and removal.rate > 0:
                return
            self._take_(removal, name)

    def go_below_(self, highest: float) -> None:
        """Come below ``highest``, however far, and lose little."""
        while self.cost() > highest:
            best = self._best(_by_loss)
            if best is None:
                return
            self._take_(*best)

    def _best(
        self,
        order: Callable[[Removal], tuple[float, float]],
        lowest: float = -math.inf,
    ) -> tuple[Removal, str] | None:
        """Return a removal that can be taken, with the name of its part.

        Args:
            order: Key by which the first one is chosen.
            lowest: Cost below which it must not lead.
        """
        best: tuple[Removal, str] | None = None
        first = math.inf, math.inf
        for name, pools in self.removals.items():
            for removal in chain.from_iterable(pools.values()):
                place = order(removal)
                if (
                    place < first
                    and self._leaves_some(removal)
                    and self.cost(removal.saved) >= lowest
                ):
                    best, first = (removal, name), place
        return best

    def _take_(self, removal: Removal, name: str) -> None:
        self.counts.update(removal.counts)
        self.left = sum(self.counts.values())
        # Added up anew, as a cost model does: sums of differences drift.
        self.searched = self._searched()
        changed = {u for unit in removal.counts for u in self._beside(unit)}
        before = self.removals[name]
        self.removals[name] = {
            pool: before[pool]
            if pool in before and changed.isdisjoint(pool)
            else self._of(name, pool)
            for pool in self._pools(name)
        }

    def cost(self, saved: float = 0.0) -> float:
        """Return the cost of the network without so much of its parts."""
        return self.priced.add_up(self.searched + saved)

    def _leaves_some(self, removal: Removal) -> bool:
        """Return whether any element of the network is left."""
        gone = sum(self.counts[u] - n for u, n in removal.counts.items())
        return gone < self.left

    def _of(self, name: str, pool: Sequence[str]) -> list[Removal]:
        """Return the possible removals of a part's units as they are now."""
        now = self.priced.part(name, self.counts)
        found = []
        for lost, counts in self._left(pool):
            chained = self._chained(name, counts)
            counts |= dict.fromkeys(chained, 0)
            lost = max([lost, *map(self._total, chained)])
            left = self.priced.part(name, {**self.counts, **counts})
            if now - left > 1e-9 * max(self.searched, 0.0):
                found.append(Removal(lost / (now - left), left - now, counts))
        return found

    def _beside(self, unit: str) -> Iterator[str]:
        """Yield the units whose removals change with a unit's count.

        With a unit go those that it is chained with. What a removal saves was
        the difference of other sums then, and is equal up to rounding.
        """
        for other in self.priced.one_of(unit):
            for near in self.priced.beside(other):
                yield from self.priced.one_of(near)

    def _chained(self, name: str, counts: Mapping[str, int]) -> list[str]:
        """Return the units of a part that go whole with those that are gone.

        The score of each tells what is lost with all of them: the largest one
        counts.
        """
        units = self.priced.parts[name].units
        gone = [u for u, n in counts.items() if n == 0 and units[u].chained]
        return [other for unit in gone for other in self.priced.one_of(unit)]

    def _total(self, unit: str) -> float:
        losses = self.losses[unit]
        return sum(losses[len(losses) - self.counts[unit] :])

    def _pools(self, name: str) -> Iterator[tuple[str, ...]]:
        """Yield groups of units: each alone, by module, and the whole part.

        What saves nothing more together with others is only alone.
        """
        units = self.priced.parts[name].units
        there = [unit for unit in units if self.counts.get(unit)]
        yield from ((unit,) for unit in there)
        modules = [
            module
            for module in sorted({units[unit].searchable for unit in there})
            if self.priced.saves_together(name, module)
        ]
        for module in modules:
            pool = tuple(u for u in there if units[u].searchable == module)
            if len(pool) > 1:
                yield pool
        if len(modules) > 1:
            yield tuple(u for u in there if units[u].searchable in modules)

    def _left(
        self, pool: Sequence[str]
    ) -> Iterator[tuple[float, dict[str, int]]]:
        """Yield (score lost, counts left) of a group of units."""
        counts = {unit: self.counts[unit] for unit in pool}
        total, lost = sum(counts.values()), 0.0
        for loss, unit in merge(*(self._rising(unit) for unit in pool)):
            counts[unit] -= 1
            lost += loss
            total -= 1
            if total % self.step == 0 or len(pool) == 1 and total < self.step:
                yield lost, dict(counts)

    def _rising(self, unit: str) -> Iterator[tuple[float, str]]:
        losses = self.losses[unit]
        last = len(losses) - self.priced.least[unit]
        for loss in losses[len(losses) - self.counts[unit] : last]:
            yield loss, unit
