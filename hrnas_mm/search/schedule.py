"""The schedule of the penalty and of the shrinks, in iterations."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """The period of a training run in which the network is searched.

    Args:
        begin: First iteration with a penalty.
        end: Last iteration at which the network may shrink; from here on
            there is no penalty.
        interval: Number of iterations between two shrinks.
        warmup: Number of iterations in which rho rises linearly from 0.
    """

    begin: int
    end: int
    interval: int
    warmup: int = 0

    def factor(self, iteration: int) -> float:
        """Return the factor of rho at an iteration."""
        if not self.begin <= iteration < self.end:
            return 0.0
        return linear_warmup(iteration - self.begin, self.warmup)

    def is_due(self, iteration: int, last: int) -> bool:
        """Return whether a shrink is due at an iteration.

        A shrink that had to wait stays due.

        Args:
            iteration: Present iteration.
            last: Iteration of the last shrink.
        """
        if iteration >= self.end:
            return last < self.end
        passed = (iteration - self.begin) // self.interval
        return passed > 0 and last < self.begin + passed * self.interval


def linear_warmup(step: int, steps: int) -> float:
    """Return a factor rising from 0 before the first step to 1 at the last."""
    return min((step + 1) / steps, 1.0) if steps > 0 else 1.0
