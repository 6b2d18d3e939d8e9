"""Cutting: selecting elements so that the cost comes within limits."""

import heapq
from collections import Counter
from collections.abc import Mapping

from torch import Tensor

from .bargain import select_bargains
from .budget import smallest
from .cost_model import CostModel
from .shrink import Keep, most_important


def select_within(
    importance: Mapping[str, Tensor],
    threshold: float,
    cost_model: CostModel,
    limits: tuple[float, float],
) -> Keep:
    """Select the elements to keep so that the cost comes within limits.

    Dead elements are removed first, in order of rising importance, as long
    as the cost stays above the lower limit. Then alive ones are removed, in
    the same order, until the cost is below the upper limit, as if the
    threshold rose. Only dead elements empty a part. A cost that falls in
    steps is cut by bargains: :func:`~hrnas_mm.search.bargain.select_bargains`.

    Single elements may cost more than lies between the limits, such as the
    last token, with which the parameters of a Transformer go. They are spared,
    and others go in their place. Where that does not reach the upper limit,
    they go in their order, and others for which there is room again come back.

    Args:
        importance: Importance of every element, by unit name.
        threshold: Elements whose importance is below this are dead.
        cost_model: Cost model of the supernet.
        limits: Lower and upper limit of the cost. The upper one prevails.
            Whole parts are removed only if it cannot be met otherwise.

    Returns:
        Indices of the kept elements, ascending, by unit name.
    """
    if cost_model.cost.step is not None:
        return select_bargains(importance, threshold, cost_model, limits)
    removal = _Removal(importance, threshold, cost_model)
    lowest, highest = limits
    removal.remove_(lowest, highest)
    removal.remove_(lowest, highest, all_dead=False)
    if removal.cost > highest:
        removal = _Removal(importance, threshold, cost_model)
        removal.remove_(0.0, highest, all_dead=False)
        removal.take_back_(highest)
        removal.remove_(lowest, highest)
    for least in (lowest, 0.0):
        removal.remove_(least, highest, protect=False, all_dead=False)
    return most_important(importance, removal.alive)


class _Removal:
    """Removal of elements one by one, the least important one first."""

    def __init__(
        self,
        importance: Mapping[str, Tensor],
        threshold: float,
        cost_model: CostModel,
    ) -> None:
        self.importance = importance
        self.threshold = threshold
        self.cost_model = cost_model
        self.alive = {name: len(value) for name, value in importance.items()}
        self.cost = cost_model.total(self.alive)
        self.order = {
            name: value.argsort(stable=True)
            for name, value in importance.items()
        }
        self.part_of = cost_model.part_of
        self.searchable_of = {
            unit: facts.searchable
            for part in cost_model.parts.values()
            for unit, facts in part.units.items()
        }
        # The cheapest module of each part is the last to become empty.
        # Otherwise only modules that no budget can afford could be left.
        self.last_searchables = {
            self.searchable_of[unit]
            for unit, count in smallest(cost_model).items()
            if count
        }
        self.in_part, self.in_searchable = Counter[str](), Counter[str]()
        for unit, count in self.alive.items():
            self._count(unit, count)

    def _count(self, unit: str, change: int) -> None:
        self.in_part[self.part_of[unit]] += change
        self.in_searchable[self.searchable_of[unit]] += change

    def remove_(
        self,
        lowest: float,
        highest: float,
        protect: bool = True,
        all_dead: bool = True,
    ) -> None:
        """Remove elements to ``highest``, all dead ones down to ``lowest``."""
        heap = [self._least(name) for name, n in self.alive.items() if n]
        heapq.heapify(heap)
        while heap:
            value, name = heapq.heappop(heap)
            dead = value < self.threshold
            if self.cost <= highest and not (dead and all_dead):
                break
            saved = self.cost_model.saving(self.alive, name)
            if saved <= 0 and not dead:
                continue
            if self.cost - saved < lowest:
                continue
            if protect and not dead and self._is_last(name):
                continue
            self.alive[name] -= 1
            self._count(name, -1)
            self.cost -= saved
            if self.alive[name]:
                heapq.heappush(heap, self._least(name))

    def take_back_(self, highest: float) -> None:
        """Take back elements that fit, the most important one first."""
        heap = [
            self._gone(name) for name in self.alive if self._has_lost(name)
        ]
        heapq.heapify(heap)
        while heap:
            _, name = heapq.heappop(heap)
            alive = {**self.alive, name: self.alive[name] + 1}
            added = self.cost_model.saving(alive, name)
            if self.cost + added > highest:
                continue
            self.alive = alive
            self._count(name, 1)
            self.cost += added
            if self._has_lost(name):
                heapq.heappush(heap, self._gone(name))

    def _has_lost(self, name: str) -> bool:
        return self.alive[name] < len(self.order[name])

    def _gone(self, name: str) -> tuple[float, str]:
        index = self.order[name][len(self.order[name]) - self.alive[name] - 1]
        return -float(self.importance[name][index]), name

    def _least(self, name: str) -> tuple[float, str]:
        index = self.order[name][len(self.order[name]) - self.alive[name]]
        return float(self.importance[name][index]), name

    def _is_last(self, unit: str) -> bool:
        searchable = self.searchable_of[unit]
        return self.in_part[self.part_of[unit]] == 1 or (
            searchable in self.last_searchables
            and self.in_searchable[searchable] == 1
        )
