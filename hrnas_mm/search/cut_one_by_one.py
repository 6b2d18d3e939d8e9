"""Cutting element by element, for a cost that falls with each."""

import heapq
from collections import Counter

from .cut import Cut, Limits, Priced
from .ranking import Counts, Place, Ranking


class OneByOne(Cut):
    """Remove the first elements of a ranking until the limits are met.

    Dead elements are removed as long as the cost stays above the lower limit.
    Then others are removed until the cost is below the upper limit. Only dead
    elements empty a part; whole parts are removed only if the upper limit
    cannot be met otherwise.

    Single elements may cost more than lies between the limits, such as the
    last token, with which the parameters of a Transformer go. They are spared,
    and others go in their place. Where that does not reach the upper limit,
    they go in their order, and others for which there is room again come back.
    """

    def __call__(
        self, ranking: Ranking, priced: Priced, limits: Limits
    ) -> Counts:
        """See :class:`~hrnas_mm.search.cut.Cut`."""
        lowest, highest = limits
        removal = _Removal(ranking, priced, self.smallest(priced))
        removal.remove_(lowest, highest)
        removal.remove_(lowest, highest, all_dead=False)
        if removal.cost > highest:
            removal = _Removal(ranking, priced, self.smallest(priced))
            removal.remove_(0.0, highest, all_dead=False)
            removal.take_back_(highest)
            removal.remove_(lowest, highest)
        for least in (lowest, 0.0):
            removal.remove_(least, highest, protect=False, all_dead=False)
        return removal.counts


class _Removal:
    """Removal of elements one by one, the first of the ranking first."""

    def __init__(
        self, ranking: Ranking, priced: Priced, smallest: Counts
    ) -> None:
        self.places = ranking.places
        self.priced = priced
        self.counts = ranking.counts
        self.cost = priced.total(self.counts)
        self.part_of = priced.part_of
        self.searchable_of = {
            unit: facts.searchable
            for part in priced.parts.values()
            for unit, facts in part.units.items()
        }
        # The cheapest module of each part is the last to become empty.
        # Otherwise only modules that no budget can afford could be left.
        self.last_searchables = {
            self.searchable_of[unit]
            for unit, count in smallest.items()
            if count
        }
        self.in_part, self.in_searchable = Counter[str](), Counter[str]()
        for unit, count in self.counts.items():
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
        heap = [self._first(name) for name, n in self.counts.items() if n]
        heapq.heapify(heap)
        while heap:
            alive, _, name = heapq.heappop(heap)
            if self.counts[name] <= self.priced.least[name]:
                continue
            if self.cost <= highest and (alive or not all_dead):
                break
            saved = self.priced.saving(self.counts, name)
            if saved <= 0 and alive:
                continue
            if self.cost - saved < lowest:
                continue
            if protect and alive and self._is_last(name):
                continue
            self.counts[name] -= 1
            self._count(name, -1)
            self.cost -= saved
            if self.counts[name]:
                heapq.heappush(heap, self._first(name))

    def take_back_(self, highest: float) -> None:
        """Take back elements that fit, the last of the ranking first."""
        heap = [
            self._gone(name) for name in self.counts if self._has_lost(name)
        ]
        heapq.heapify(heap)
        while heap:
            _, _, name = heapq.heappop(heap)
            counts = {**self.counts, name: self.counts[name] + 1}
            added = self.priced.saving(counts, name)
            if self.cost + added > highest:
                continue
            self.counts = counts
            self._count(name, 1)
            self.cost += added
            if self._has_lost(name):
                heapq.heappush(heap, self._gone(name))

    def _has_lost(self, name: str) -> bool:
        return self.counts[name] < len(self.places[name])

    def _gone(self, name: str) -> Place:
        """Return the place of the last element that went, in reverse."""
        alive, score, _ = self.places[name][-self.counts[name] - 1]
        return not alive, -score, name

    def _first(self, name: str) -> Place:
        """Return the place of the next element to go."""
        return self.places[name][-self.counts[name]]

    def _is_last(self, unit: str) -> bool:
        searchable = self.searchable_of[unit]
        return self.in_part[self.part_of[unit]] == 1 or (
            searchable in self.last_searchables
            and self.in_searchable[searchable] == 1
        )
