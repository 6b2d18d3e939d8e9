"""When a search will end, against a run whose steps take a known time."""

import pytest

from hrnas_mm.report.record import Shrink
from hrnas_mm.report.time_left import (
    FIXED_SHARE,
    duration,
    seconds_left,
)
from hrnas_mm.search.descent import Descent

PLAN = Descent(begin=100, end=500, start=8.0, target=1.0)
LAST, GROUP, INTERVAL = 1000, 10, 10


def cost(iteration: int) -> float:
    """Cost of the network before an iteration."""
    return PLAN.at(iteration - iteration % INTERVAL)


def left(now: int, plan: Descent | None = PLAN) -> float | None:
    """The prediction for steps that take as long as the network costs."""
    shrinks = [0, *range(PLAN.begin, now + 1, INTERVAL)]
    history = [Shrink(i, {'macs': cost(i)}, 0.0, []) for i in shrinks]
    groups = range(GROUP, now + 1, GROUP)
    curves = {
        'iter': [float(i) for i in groups],
        'seconds': [cost(i - 1) for i in groups],
    }
    return seconds_left(curves, history, 'macs', plan, now, LAST)


@pytest.mark.parametrize('now', [50, 200, 450, 500, 900])
def test_the_end_is_that_of_the_plan(now: int) -> None:
    present = cost(now - 1)
    expected = sum(
        FIXED_SHARE * present + (1 - FIXED_SHARE) * cost(i)
        for i in range(now, LAST)
    )
    assert left(now) == pytest.approx(expected, rel=0.03)
    at_this_speed = (LAST - now) * present
    assert left(now, None) == pytest.approx(at_this_speed, rel=0.05)
    assert expected < 0.7 * at_this_speed or now > 200


def test_the_end_before_anything_is_known() -> None:
    assert left(0) is None


def test_durations() -> None:
    texts = map(duration, (0.4, 29, 61, 3599, 7500, 90000))
    assert [*texts] == ['0 s', '29 s', '1 min', '1 h', '2 h 5 min', '1 d 1 h']
