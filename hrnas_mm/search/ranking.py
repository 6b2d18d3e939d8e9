"""Rankings: in which order the elements of each unit are removed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

Keep = dict[str, Tensor]
Counts = dict[str, int]
Place = tuple[bool, float, str]


@dataclass(frozen=True)
class Ranking:
    """Order in which elements are removed: dead ones first, by rising score.

    Cuts decide how many elements of each unit stay; a ranking knows which.

    Args:
        score: Score of every element, by unit name, shape (n,).
        dead: Whether an element is dead, shape (n,): the penalty has pushed
            its importance factor to zero.
    """

    score: Mapping[str, Tensor]
    dead: Mapping[str, Tensor]

    @classmethod
    def by_threshold(
        cls, score: Mapping[str, Tensor], threshold: float
    ) -> 'Ranking':
        """Return a ranking in which elements of a lower score are dead."""
        dead = {name: value < threshold for name, value in score.items()}
        return cls(score, dead)

    @property
    def counts(self) -> Counts:
        """Return the number of elements of every unit."""
        return {name: len(value) for name, value in self.score.items()}

    @property
    def alive(self) -> Counts:
        """Return the number of elements of every unit that are not dead."""
        return {name: int((~dead).sum()) for name, dead in self.dead.items()}

    def sparing(self, counts: Mapping[str, int]) -> 'Ranking':
        """Return a ranking in which the best of each unit are the last to go.

        Args:
            counts: How many those are, by unit name.
        """
        score, dead = {}, {}
        for name, best in self.best(counts).items():
            score[name] = self.score[name].index_fill(0, best, torch.inf)
            dead[name] = self.dead[name].index_fill(0, best, False)
        return Ranking(score, dead)

    @cached_property
    def order(self) -> dict[str, Tensor]:
        """Return the indices of elements by unit, the first to go first."""
        order = {}
        for name, score in self.score.items():
            by_score = score.argsort(stable=True)
            dead_first = (
                (~self.dead[name])[by_score].int().argsort(stable=True)
            )
            order[name] = by_score[dead_first]
        return order

    @cached_property
    def places(self) -> dict[str, list[Place]]:
        """Return where every unit's elements stand among those of all units.

        A place is a tuple that sorts: whether the element is not dead, its
        score, and the unit's name; the first to go is first.
        """
        return {
            name: [
                (not dead, score, name)
                for dead, score in zip(
                    self.dead[name][order].tolist(),
                    self.score[name][order].tolist(),
                )
            ]
            for name, order in self.order.items()
        }

    def best(self, counts: Mapping[str, int]) -> Keep:
        """Return the indices of the last elements to go, ascending.

        Args:
            counts: Number of elements to keep, by unit name.
        """
        return {
            name: order[len(order) - counts[name] :].sort().values
            for name, order in self.order.items()
        }
