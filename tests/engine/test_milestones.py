"""Milestones of another cost than the target's."""

import pytest
import torch
from cutting import select_within
from tiny import supernet

from hrnas_mm.engine.milestones import parse_milestones, stop_at_milestone
from hrnas_mm.search import CostModel, parse_budget
from hrnas_mm.search.descent import allowed


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize(
    'cost, other', [('macs', 'params'), ('params', 'macs')]
)
def test_a_milestone_of_another_cost_leaves_what_the_target_needs(
    cost, other, seed
):
    cost_model = CostModel(supernet(), (3, 32, 32))
    target = parse_budget({cost: 0.4}, cost_model)
    torch.manual_seed(seed)
    importance = {
        name: torch.rand(count) * torch.rand(1)
        for name, count in cost_model.supernet.items()
    }

    def rank(_):
        return importance, 1e-9

    keep = select_within(
        *rank(None), target.cost_model, allowed(target.amount)
    )
    then = {name: len(index) for name, index in keep.items()}
    amount = parse_budget({other: 0.5}, cost_model).spent(then)
    milestones = parse_milestones([{other: amount}], cost_model, target)
    stop, met = stop_at_milestone(
        milestones, cost_model.supernet, rank, keep, target
    )
    counts = {name: len(index) for name, index in stop.items()}
    assert met is milestones[0]
    assert met.budget.spent(counts) <= met.budget.amount
    assert target.spent(counts) >= target.spent(then)
    assert all(counts[name] >= then[name] for name in then)
