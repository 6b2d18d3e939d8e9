"""The plan of a search: what the network may cost after each shrink."""

import math
from dataclasses import dataclass

# A searched network is never above its target, and at most this share below.
TOLERANCE = 0.03


@dataclass(frozen=True)
class Descent:
    """At every shrink the same share of what is left goes.

    Args:
        begin: The iteration at which it starts.
        end: The iteration at which it arrives.
        start: The cost at ``begin``.
        target: The cost at ``end``.
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
        """Return the least and the most that a shrink may leave.

        One interval ahead of the plan and one behind it; at the end what
        the target allows.
        """
        if iteration >= self.end:
            return allowed(self.target)
        return self.at(iteration + interval), self.at(iteration - interval)

    def next_rho(
        self, rho: float, dead_removed: float, iteration: int, interval: int
    ) -> float:
        """Return the coefficient that brings the penalty back to the plan.

        A network that is an interval behind for two shrinks gets twice the
        coefficient, one that is as much ahead half of it, and in between
        accordingly. Importance takes some intervals to fall: a faster
        response would overshoot, and press useful elements down with the
        useless ones.

        Args:
            rho: Until now.
            dead_removed: What the network would cost without any of its dead
                elements: what the penalty alone has reached.
            iteration: Of this shrink.
            interval: Between two shrinks.
        """
        if self.start <= self.target:
            return rho
        step = math.log(self.start / self.target)
        step *= interval / (self.end - self.begin)
        least = 1e-9 * self.target  # nothing may be left, and cost nothing
        planned = self.at(iteration)
        behind = math.log(max(dead_removed, least) / planned) / step
        return rho * 2 ** (min(max(behind, -1.0), 1.0) / 2)


def allowed(amount: float) -> tuple[float, float]:
    """Return the least and the most that meets a budget."""
    return (1 - TOLERANCE) * amount, amount
