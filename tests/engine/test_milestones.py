"""Milestones of another cost than the target's."""

import pytest
import torch
from tiny import supernet

from hrnas_mm.engine.milestones import (
    first_crossed,
    on_the_way,
    parse_milestones,
)
from hrnas_mm.search import CostModel, Ranking, parse_budget
from hrnas_mm.search.descent import allowed


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize(
    'cost, other', [('macs', 'params'), ('params', 'macs')]
)
def test_a_milestone_of_another_cost_leaves_what_the_target_needs(
    cost: str, other: str, seed: int
) -> None:
    cost_model = CostModel(supernet(), (3, 32, 32))
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
    met = first_crossed(milestones, cost_model.supernet, then)
    assert met is milestones[0]
    counts = on_the_way(ranking, then, met.budget)
    assert met.budget.spent(counts) <= met.budget.amount
    assert target.spent(counts) >= target.spent(then)
    assert all(counts[name] >= then[name] for name in then)
