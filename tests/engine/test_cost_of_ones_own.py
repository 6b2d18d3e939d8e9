"""One more kind of cost is one more class; a search meets a target in it."""

import tiny
from hrnas_mm.report.record import read_record
from hrnas_mm.runners import bare_model
from mmengine.runner import Runner

from hrnas_mm.search import COSTS, Cost, architecture_of

SECONDS = dict(k3=0.1, k5=0.2, tokens=1.0)


class Seconds(Cost):
    """So many seconds per element, and ten for all the rest."""

    name, noun = 'seconds', 'seconds'

    def part(self, part, alive):
        return sum(
            alive[unit] * SECONDS[facts.kind]
            for unit, facts in part.units.items()
        )

    def whole(self, trace):
        return 70.0


def spent(architecture):
    return sum(n * SECONDS[u.split('.')[-1]] for u, n in architecture.items())


def test_a_search_in_seconds(tmp_path, monkeypatch):
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
    assert list(record['costs']) == ['seconds', 'macs', 'params']
    assert record['target'] == dict(cost='seconds', amount=0.6 * 70)
    assert record['milestones'][0]['name'] == '55.0_seconds'
    assert round(record['history'][-1]['costs']['seconds'], 6) == round(
        seconds, 6
    )
    log = next(tmp_path.rglob('*.log')).read_text()
    assert 'Search: down to 42 seconds' in log
    # An element's price is its seconds, on the scale of the supernet's mean.
    prices = search.penalty.cost_model.prices(search.cost_model.supernet)
    for unit, price in prices.items():
        assert abs(price - SECONDS[unit.split('.')[-1]]) < 1e-9
