"""The time that a search still takes, as its steps become faster."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median

from ..search.descent import Descent
from .record import Record, Shrink

# Share of a step's time that stays. With it, half of 46 searches were foretold
# within 14 %, after an eighth to three eighths of the run. The present speed
# was 50 to 70 % off then, and a fit to the steps so far no better.
FIXED_SHARE = 0.4
# Equal pieces that the descent is looked at in.
PIECES = 32


def seconds_left(
    curves: Mapping[str, Sequence[float]],
    history: Sequence[Shrink],
    cost: str,
    descent: Descent | None,
    now: int,
    last: int,
) -> float | None:
    """Predict the seconds that a run still takes, without evaluations.

    A share of a step's present time is fixed, the rest falls in proportion to
    the cost of the network. The plan of the search says what this will be.

    Args:
        curves: ``iter`` and ``seconds`` per iteration; each value is the mean
            of some iterations up to ``iter``.
        history: The network at the start, and after each shrink.
        cost: Name of the cost that falls.
        descent: Plan of the search, None for one without a target.
        now: Iterations that are over.
        last: Iterations of the run.

    Returns:
        The seconds; None if no step has been timed.
    """
    if not curves.get('seconds'):
        return None
    begins = [shrink.iter for shrink in history]
    costs = [
        history[max(bisect_right(begins, i - 1) - 1, 0)].costs[cost]
        for i in curves['iter']
    ]
    step = median(
        seconds
        for seconds, amount in zip(curves['seconds'], costs)
        if amount == costs[-1]
    )
    ahead = _planned(history[-1].costs[cost], descent, now, last)
    return step * sum(
        count * (FIXED_SHARE + (1 - FIXED_SHARE) * amount / (costs[-1] or 1))
        for count, amount in ahead
    )


def _planned(
    present: float, descent: Descent | None, now: int, last: int
) -> Iterator[tuple[int, float]]:
    """Yield (number of iterations, cost of the network) of what is ahead."""
    end = now if descent is None else min(max(descent.end, now), last)
    target = present
    if descent is not None:
        target = descent.target
        places = [now + (end - now) * i // PIECES for i in range(PIECES + 1)]
        for i, j in pairwise(places):
            yield j - i, min(present, descent.at((i + j) // 2))
    yield last - end, target


def time_left(record: Record) -> str | None:
    """Return the time that the run of a record still takes, as text."""
    cost, descent = next(iter(record.costs)), None
    if record.target is not None:
        cost, amount = record.target.cost, record.target.amount
        start = max(record.costs[cost], amount)
        descent = Descent(record.begin, record.end, start, amount)
    seconds = seconds_left(
        record.curves,
        record.history,
        cost,
        descent,
        record.iter,
        record.max_iters,
    )
    return None if seconds is None else duration(seconds)


def duration(seconds: float) -> str:
    """Return a time in its two largest units: '2 h 5 min'."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f'{seconds:.0f} s'
    days, hours = minutes // 1440, minutes // 60 % 24
    parts = dict(d=days, h=hours, min=minutes % 60)
    shown = [f'{n} {unit}' for unit, n in parts.items() if n]
    return ' '.join(shown[:2])
