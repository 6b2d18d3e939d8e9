"""The plan of a search: the cost to reach at each shrink."""

import math
from dataclasses import dataclass

# A searched network costs at most its target, and at most this share less.
TOLERANCE = 0.03


@dataclass(frozen=True)
class Descent:
    """Plan in which every shrink removes the same share of the cost left.

    Args:
        begin: Iteration at which the descent starts.
        end: Iteration at which it reaches the target.
        start: Cost at ``begin``.
        target: Cost at ``end``.
    """

    begin: int
    end: int
    start: float
    target: float

    def at(self, iteration: int) -> float:
        """Return the planned cost after a shrink at an iteration."""
        progress = (iteration - self.begin) / (self.end - self.begin)
        progress = min(max(progress, 0.0), 1.0)
        return self.start * (self.target / self.start) ** progress

    def limits(self, iteration: int, interval: int) -> tuple[float, float]:
        """Return the lowest and the highest cost that a shrink may leave.

        These are the planned costs one interval ahead and one interval
        behind; at the end, the costs that the target allows.
        """
        if iteration >= self.end:
            return allowed(self.target)
        return self.at(iteration + interval), self.at(iteration - interval)

    def next_rho(
        self, rho: float, dead_removed: float, iteration: int, interval: int
    ) -> float:
        """Return the rho that brings the network back to the plan.

        If the network is one interval behind at two shrinks, rho doubles; if
        it is as far ahead, rho halves; in between it changes accordingly.
        Importance takes some intervals to fall: a faster response would
        overshoot and push useful elements down together with useless ones.

        Args:
            rho: Present coefficient of the penalty.
            dead_removed: Cost of the network without any of its dead
                elements, which the penalty alone has reached.
            iteration: Iteration of this shrink.
            interval: Number of iterations between two shrinks.
        """
        if self.start <= self.target:
            return rho
        step = math.log(self.start / self.target)
        step *= interval / (self.end - self.begin)
        least = 1e-9 * self.target  # the cost of what is left may be 0
        planned = self.at(iteration)
        behind = math.log(max(dead_removed, least) / planned) / step
        return rho * 2 ** (min(max(behind, -1.0), 1.0) / 2)


def allowed(amount: float) -> tuple[float, float]:
    """Return the lowest and the highest cost that meets a budget."""
    return (1 - TOLERANCE) * amount, amount
