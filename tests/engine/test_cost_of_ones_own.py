"""One more kind of cost is one more class; a search meets a target in it."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import tiny
from mmengine.runner import Runner

from hrnas_mm.report.record import Target, read_record
from hrnas_mm.runners import bare_model
from hrnas_mm.search import (
    COSTS,
    Cost,
    CostModel,
    Cut,
    Part,
    Ranking,
    Trace,
    architecture_of,
)
from hrnas_mm.search.cut import Limits, Priced

SECONDS = dict(k3=0.1, k5=0.2, tokens=1.0)


class Seconds(Cost):
    """So many seconds per element, and ten for all the rest."""

    name, noun = 'seconds', 'seconds'

    def part(self, part: Part, counts: Mapping[str, int]) -> float:
        return sum(
            counts[unit] * SECONDS[facts.kind]
            for unit, facts in part.units.items()
        )

    def whole(self, trace: Trace) -> float:
        return 70.0


def spent(architecture: Mapping[str, int]) -> float:
    return sum(n * SECONDS[u.split('.')[-1]] for u, n in architecture.items())


def test_a_search_in_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COSTS, 'seconds', Seconds())
    cfg = tiny.config(
        tmp_path, 24, rho=None, interval=None, threshold=0.01,
        target=dict(seconds=0.6), milestones=[dict(seconds=55.0)],
    )  # fmt: skip
    cfg.log_level = 'INFO'
    runner = Runner.from_cfg(cfg)
    runner.train()
    search = tiny.search_of(runner)
    rest = 70 - spent(search.cost_model.supernet)
    seconds = rest + spent(architecture_of(bare_model(runner)))
    assert 0.95 * 0.6 * 70 <= seconds <= 0.6 * 70
    record = read_record(str(tmp_path))
    assert list(record.costs) == ['seconds', 'macs', 'params']
    assert record.target == Target('seconds', 0.6 * 70)
    assert record.milestones[0].name == '55.0_seconds'
    assert round(record.history[-1].costs['seconds'], 6) == round(seconds, 6)
    log = next(tmp_path.rglob('*.log')).read_text()
    assert 'Search: down to 42 seconds' in log
    # An element's price is its seconds, on the scale of the supernet's mean.
    prices = search.penalty.cost_model.prices(search.cost_model.supernet)
    for unit, price in prices.items():
        assert abs(price - SECONDS[unit.split('.')[-1]]) < 1e-9


class AllOfAKind(Cut):
    """Removes all 5x5 paths, and no more: a rule of one class."""

    importance = 'taylor'

    def __call__(
        self, ranking: Ranking, priced: Priced, limits: Limits
    ) -> dict[str, int]:
        return {
            name: 0 if name.endswith('k5') else count
            for name, count in ranking.counts.items()
        }


def test_a_cost_names_a_cut_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(Seconds):
        cut = AllOfAKind()

    monkeypatch.setitem(COSTS, 'seconds', Own())
    cost_model = CostModel(tiny.supernet(), (3, 32, 32))
    paths = [u for u in cost_model.supernet if u.endswith('k5')]
    fewer = {**cost_model.supernet, **dict.fromkeys(paths, 0)}
    target = 70 - spent(cost_model.supernet) + spent(fewer)
    cfg = tiny.config(
        tmp_path, 12, rho=None, interval=None, begin=2, end=6,
        threshold=0.01, target=dict(seconds=target),
    )  # fmt: skip
    runner = Runner.from_cfg(cfg)
    runner.train()
    search = tiny.search_of(runner)
    assert search.importance.name == 'taylor'
    left = {
        u.removeprefix('backbone.'): n for u, n in search.architecture.items()
    }
    assert left == fewer
