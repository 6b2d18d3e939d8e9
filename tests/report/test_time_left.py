"""When a search will end, against a run whose steps take a known time."""

import pytest

from hrnas_mm.report.record import Shrink
from hrnas_mm.report.time_left import duration, seconds_left
from hrnas_mm.search.descent import Descent

PLAN = Descent(begin=100, end=500, start=8.0, target=1.0)
LAST, GROUP, INTERVAL = 1000, 10, 10


def takes(iteration: int) -> float:
    """Seconds of a step: a fixed time, and one in proportion to the cost."""
    return 0.2 + 0.1 * PLAN.at(iteration - iteration % INTERVAL)


def left(now: int, plan: Descent | None = PLAN) -> float | None:
    shrinks = [0, *range(PLAN.begin, now + 1, INTERVAL)]
    history = [Shrink(i, {'macs': PLAN.at(i)}, 0.0, []) for i in shrinks]
    groups = range(GROUP, now + 1, GROUP)
    curves = {
        'iter': [float(i) for i in groups],
        'seconds': [
            sum(map(takes, range(i - GROUP, i))) / GROUP for i in groups
        ],
    }
    return seconds_left(curves, history, 'macs', plan, now, LAST)


@pytest.mark.parametrize('now', [200, 300, 450, 500, 900])
def test_the_end_is_that_of_the_plan(now: int) -> None:
    expected = sum(map(takes, range(now, LAST)))
    assert left(now) == pytest.approx(expected, rel=0.05)


def test_the_end_before_anything_is_known() -> None:
    assert left(0) is None
    # All steps took as long so far; a part of that is taken to be fixed.
    early, whole = left(50), LAST * takes(0)
    assert early is not None and 0.3 * whole < early < 0.7 * whole
    assert left(50, None) == pytest.approx((LAST - 50) * takes(0))


def test_durations() -> None:
    texts = map(duration, (0.4, 29, 61, 3599, 7500, 90000))
    assert [*texts] == ['0 s', '29 s', '1 min', '1 h', '2 h 5 min', '1 d 1 h']
