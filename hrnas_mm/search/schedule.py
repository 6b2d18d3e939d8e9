"""When the penalty acts and when the network shrinks, in iterations."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """The part of a training run in which the network is searched.

    Args:
        begin: The first iteration with a penalty.
        end: The last at which the network may shrink; there is no penalty
            from here on.
        interval: Between two shrinks.
        warmup: rho rises linearly from 0 over so many iterations.
    """

    begin: int
    end: int
    interval: int
    warmup: int = 0

    def factor(self, iteration: int) -> float:
        """Return what rho is multiplied by."""
        if not self.begin <= iteration < self.end:
            return 0.0
        return linear_warmup(iteration - self.begin, self.warmup)

    def is_due(self, iteration: int, last: int) -> bool:
        """Return whether a shrink is due, the last one having been at last.

        One that had to wait stays due.
        """
        if iteration >= self.end:
            return last < self.end
        passed = (iteration - self.begin) // self.interval
        return passed > 0 and last < self.begin + passed * self.interval


def linear_warmup(step: int, steps: int) -> float:
    """Return what rises from 0 before the first step to 1 at the last."""
    return min((step + 1) / steps, 1.0) if steps > 0 else 1.0
