"""The time that a search still takes, as its steps become faster."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..search.descent import Descent
from .record import Record, Shrink

# Share of a step's time that stays, unless steps at several costs tell.
FIXED_SHARE = 0.3
# Ratio of costs from which on they do.
TELLING = 1.25
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

    A step takes a fixed time, and a time in proportion to the cost of the
    network. Both are fitted to the steps so far; what the network will cost
    is in the plan of the search.

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
    fixed, each = _fit(np.array(costs), np.array(curves['seconds']))
    present = history[-1].costs[cost]
    ahead = _planned(present, descent, now, last)
    return sum(count * (fixed + each * amount) for count, amount in ahead)


def _fit(costs: np.ndarray, seconds: np.ndarray) -> tuple[float, float]:
    """Return the fixed time of a step, and its time per cost."""
    median = float(np.median(seconds[costs == costs[-1]]))
    if costs[-1] <= 0:
        return median, 0.0
    if costs.max() < TELLING * costs.min():
        return FIXED_SHARE * median, (1 - FIXED_SHARE) * median / costs[-1]
    each, fixed = np.polyfit(costs, seconds, 1)
    each = min(max(each, 0.0), median / costs[-1])
    # Through the present: what is ahead is more like it than the start.
    return median - each * costs[-1], float(each)


def _planned(
    present: float, descent: Descent | None, now: int, last: int
) -> Iterator[tuple[int, float]]:
    """Yield (number of iterations, cost of the network) of what is ahead."""
    end = now if descent is None else min(max(descent.end, now), last)
    pieces = np.unique(np.linspace(now, end, PIECES + 1).astype(int))
    for i, j in zip(pieces.tolist(), pieces[1:].tolist()):
        assert descent is not None
        yield j - i, min(present, descent.at((i + j) // 2))
    yield last - end, present if descent is None else descent.target


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
