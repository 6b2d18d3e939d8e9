"""Milestones of other costs than the target's."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import tiny
import torch
from milliseconds import table_of_formula
from mmengine.runner import Runner
from torch import Tensor

from hrnas_mm.building import build_model
from hrnas_mm.deploy import cost_model_of
from hrnas_mm.engine.milestones import (
    crossed,
    on_the_way,
    parse_milestones,
)
from hrnas_mm.engine.options import SearchOptions
from hrnas_mm.engine.search import Search
from hrnas_mm.latency.table import write_latency_table
from hrnas_mm.search import CostModel, Ranking, parse_budget
from hrnas_mm.search.descent import allowed

TARGETS: list[Any] = [{'macs': 0.3}, {'params': 0.35}, {'latency': 0.3}, None]
SHAPE = (3, 32, 32)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize(
    'cost, other', [('macs', 'params'), ('params', 'macs')]
)
def test_a_milestone_of_another_cost_leaves_what_the_target_needs(
    cost: str, other: str, seed: int
) -> None:
    cost_model = CostModel(tiny.supernet(), SHAPE)
    target = parse_budget({cost: 0.4}, cost_model)
    torch.manual_seed(seed)
    importance = {
        name: torch.rand(count) * torch.rand(1)
        for name, count in cost_model.supernet.items()
    }

    ranking = Ranking.by_threshold(importance, 1e-9)
    limits = allowed(target.amount)
    then = target.cost.cut(ranking, target.cost_model, limits)
    amount = parse_budget({other: 0.5}, cost_model).spent(then)
    milestones = parse_milestones([{other: amount}], cost_model, target)
    assert crossed(milestones, cost_model.supernet, then) == milestones
    counts = on_the_way(ranking, then, milestones, target.cost_model)
    budget = milestones[0].budget
    assert budget.spent(counts) <= budget.amount
    assert target.spent(counts) >= target.spent(then)
    assert all(counts[name] >= then[name] for name in then)


@pytest.fixture(scope='module')
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    folder = tmp_path_factory.mktemp('milestones')
    cfg = tiny.config(folder)
    table = table_of_formula(cost_model_of(build_model(cfg), SHAPE))
    write_latency_table(table, str(folder / 'table.json'))
    runner = Runner.from_cfg(cfg)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    return runner


def descent(
    search: Search, importance: dict[str, Tensor], shrinks: int
) -> tuple[dict[str, int], dict[str, float]]:
    """Counts in the end; the share of each milestone that was used at it."""
    shares: dict[str, float] = {}
    for iteration in range(1, shrinks + 1):
        search.runner = cast(Runner, SimpleNamespace(iter=iteration))
        for name, value in importance.items():
            importance[name] = 1.5 * value * torch.rand(len(value))
        met = search.milestones
        while met:
            keep, met = search.select(importance)
            importance = {n: v[keep[n]] for n, v in importance.items()}
            counts = {name: len(v) for name, v in importance.items()}
            for name, budget in met:
                assert name not in shares
                shares[name] = budget.spent(counts) / budget.amount
    return counts, shares


@pytest.mark.parametrize('shrinks', [3, 11])
@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('target', TARGETS)
def test_no_milestone_on_the_way_is_passed_by(
    runner: Runner, target: Any, seed: int, shrinks: int
) -> None:
    rng = random.Random(seed)
    options = SearchOptions(
        target=target,
        milestones=[
            {cost: rng.uniform(0.4, 0.95)}
            for cost in 2 * ('macs', 'params', 'latency')
        ],
        threshold=1e-2,
        latency=str(Path(runner.work_dir) / 'table.json'),
        input_shape=SHAPE,
        rho=1e-3,
        interval=1,
        begin=0,
        end=shrinks,
    )
    search = Search(options, runner)
    torch.manual_seed(seed)
    importance = {
        name: torch.rand(count) * 10 ** rng.uniform(-1, 1)
        for name, count in search.cost_model.supernet.items()
    }
    last, shares = descent(search, importance, shrinks)
    met = crossed(search.milestones, search.cost_model.supernet, last)
    assert set(shares) == {name for name, _ in met}
    # The last token of a Transformer takes a tenth of the parameters along.
    assert all(0.89 < share <= 1 for share in shares.values())
