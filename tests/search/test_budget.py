"""Budgets, the plan, and the cuts that keep to it."""

import math
import re
from functools import cache
from typing import Any

import pytest
import torch
from counting import counted
from cutting import select_within
from tiny import supernet
from torch import Tensor, nn

from hrnas_mm.search import (
    REPORTED,
    Budget,
    BudgetController,
    Cost,
    CostModel,
    Descent,
    Params,
    Ranking,
    Schedule,
    apply_architecture_,
    architecture_of,
    importances,
    named_search_units,
    parse_budget,
    random_architecture,
    shrink_,
    uniform_architecture,
)
from hrnas_mm.search.descent import allowed

SHAPE = (3, 32, 32)


def params_of(model: nn.Module) -> int:
    return sum(param.numel() for param in model.parameters())


@cache
def tiny_costs() -> CostModel:
    return CostModel(supernet(), SHAPE)


def budget_of(model: nn.Module, cost: Cost, share: float) -> Budget:
    cost_model = CostModel(model, SHAPE, cost)
    whole = cost_model.total(cost_model.supernet)
    return Budget(int(share * whole), cost_model)


def random_importance(
    model: nn.Module, share_dead: float = 0.3
) -> dict[str, Tensor]:
    """Random importance factors; below 0.1 is dead."""
    for unit in named_search_units(model).values():
        values = torch.rand(len(unit)) + 0.1
        dead = torch.rand(len(unit)) < share_dead
        unit.alpha.data = torch.where(dead, 0.1 * torch.rand(()), values)
    return importances([model])


@pytest.mark.parametrize(
    'target, cost, amount',
    [
        (300_000, 'macs', 300_000),
        (3e5, 'macs', 300_000),
        ('300K', 'macs', 300_000),
        ('0.3M', 'macs', 300_000),
        (' 0.3m ', 'macs', 300_000),
        (0.5, 'macs', 200_832),
        ('0.5', 'macs', 200_832),
        (dict(macs='0.3M'), 'macs', 300_000),
        (dict(params=0.5), 'params', 11_756),
        (dict(params='12k'), 'params', 12_000),
    ],
)
def test_budget_as_users_write_it(target: Any, cost: str, amount: int) -> None:
    budget = parse_budget(target, tiny_costs())
    assert (budget.amount, budget.cost.name) == (amount, cost)


@pytest.mark.parametrize(
    'target, message',
    [
        ('1.9GG', "target must be a positive number, .*got '1.9GG'"),
        ('1.9X', "target must be a positive number, .*got '1.9X'"),
        (0, 'target must be a positive number'),
        (-1.0, 'target must be a positive number'),
        (float('nan'), 'target must be a positive number'),
        (None, 'target must be a positive number'),
        ('100G', r'target must be at least .* and below .* which is 100 G'),
        (1e-6, 'target must be at least'),
        (dict(flops=1), r'target must be one of dict\(macs='),
        (dict(macs=1, params=2), 'target must be one of'),
    ],
)
def test_bad_budgets(target: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_budget(target, tiny_costs())


def test_the_least_that_an_error_names_is_enough() -> None:
    cost_model = tiny_costs()
    with pytest.raises(ValueError) as error:
        parse_budget(1, cost_model)
    (least,) = re.findall(r'at least (\S+) (\S+)', str(error.value))
    budget = parse_budget(f'{least[0]}{least[1]}', cost_model)
    assert budget.amount == cost_model.total(
        cost_model.cost.cut.smallest(cost_model)
    )


@pytest.mark.parametrize('seed', range(2))
def test_parameters_are_counted_exactly(seed: int) -> None:
    from counting import random_keep

    torch.manual_seed(seed)
    for position, act in (('map2d', 'ReLU'), ('learned', 'PReLU')):
        model = supernet(
            transformer=dict(position=position, position_in='both'),
            act_cfg=dict(type=act),
        )
        cost_model = CostModel(model, SHAPE, Params())
        for share in (0.0, 0.5):
            total = cost_model.total(architecture_of(model))
            assert total == params_of(model)
            shrink_(model, random_keep(model, share))
        total = cost_model.total(architecture_of(model))
        assert total == params_of(model)


def test_savings_add_up() -> None:
    """Taking elements away one by one saves what the totals differ by."""
    for cost in REPORTED:
        cost_model = CostModel(supernet(), SHAPE, cost)
        alive = dict(cost_model.supernet)
        saved = 0.0
        for name, count in cost_model.supernet.items():
            for _ in range(count):
                saved += cost_model.saving(alive, name)
                alive[name] -= 1
        total = cost_model.total(cost_model.supernet)
        assert cost_model.total(alive) == total - saved
        assert cost_model.total({}) == cost_model.rest


def test_plan_takes_the_same_share_at_every_shrink() -> None:
    plan = Descent(begin=100, end=500, start=1e9, target=1e7)
    costs = [plan.at(i) for i in range(100, 501, 100)]
    assert costs == pytest.approx(
        [1e9, 1e9 / 10**0.5, 1e8, 1e8 / 10**0.5, 1e7]
    )
    assert plan.at(0) == 1e9 and plan.at(900) == pytest.approx(1e7)
    low, high = plan.limits(300, interval=100)
    assert (low, high) == (pytest.approx(costs[3]), pytest.approx(costs[1]))
    assert plan.limits(500, 100) == pytest.approx((0.97e7, 1e7))


def test_rho_follows_the_plan() -> None:
    plan = Descent(begin=0, end=400, start=1e9, target=1e5)
    for cost, factor in (
        (plan.at(200), 1),
        (plan.at(100), 2**0.5),
        (plan.at(150), 2**0.25),
        (plan.at(300), 0.5**0.5),
        (1e9, 2**0.5),
        (0, 0.5**0.5),
    ):
        rho = plan.next_rho(0.3, cost, iteration=200, interval=100)
        assert rho == pytest.approx(0.3 * factor), cost
    there = Descent(begin=0, end=400, start=1e5, target=1e5)
    assert there.next_rho(0.3, 1e5, iteration=200, interval=100) == 0.3


@pytest.mark.parametrize('cost', REPORTED, ids=['macs', 'params'])
@pytest.mark.parametrize('seed', range(0, 10, 3))
def test_cuts_land_within_their_limits(cost: Cost, seed: int) -> None:
    """Checked on the shrunk network itself, with torch's own counter."""
    torch.manual_seed(seed)
    model = supernet(num_tokens=0, expand_ratio=6)
    cost_model = CostModel(model, SHAPE, cost)
    importance = random_importance(model)
    share = 0.75 - 0.05 * seed
    high = share * cost_model.total(cost_model.supernet)
    keep = select_within(importance, 0.1, cost_model, (0.97 * high, high))
    for name, index in keep.items():
        gone = torch.ones(len(importance[name]), dtype=torch.bool)
        gone[index] = False
        kept = importance[name][index]
        if len(kept) and gone.any():
            assert importance[name][gone].max() <= kept.min()
        assert len(kept) or importance[name].max() < 0.1
    shrink_(model, keep)
    params = cost.name == 'params'
    spent = params_of(model) if params else counted(model, SHAPE)
    assert 0.97 * high <= spent <= high


@pytest.mark.parametrize('seed', [30, 48, 59, 108])
def test_what_overshoots_waits_for_what_does_not(seed: int) -> None:
    """A last token takes an encoder along, a tenth of all parameters."""
    torch.manual_seed(seed)
    model = supernet()
    cost_model = CostModel(model, SHAPE, Params())
    importance = random_importance(model, [0.0, 0.3, 0.9][seed % 3])
    whole = cost_model.total(cost_model.supernet)
    share = 0.02 + 0.9 * torch.rand(()).item()
    high = cost_model.rest + share * (whole - cost_model.rest)
    keep = select_within(importance, 0.1, cost_model, (0.97 * high, high))
    shrink_(model, keep)
    assert 0.97 * high <= params_of(model) <= high


@pytest.mark.parametrize('seed', range(3))
def test_what_overshoots_goes_before_blocks_are_emptied(seed: int) -> None:
    """Half of the parameters cannot be met while every encoder is spared."""
    torch.manual_seed(seed)
    model = supernet()
    budget = budget_of(model, Params(), 0.5)
    importance = random_importance(model, share_dead=0.0)
    keep = select_within(
        importance, 0.1, budget.cost_model, allowed(budget.amount)
    )
    counts = {name: len(index) for name, index in keep.items()}
    assert budget.spent(counts) <= budget.amount
    for part in budget.cost_model.parts.values():
        assert any(counts[unit] for unit in part.units), part.name


def test_the_lower_limit_keeps_dead_elements() -> None:
    model = supernet()
    cost_model = CostModel(model, SHAPE)
    importance = random_importance(model, share_dead=0.9)
    whole = cost_model.total(cost_model.supernet)
    low = 0.8 * whole
    keep = select_within(importance, 0.1, cost_model, (low, math.inf))
    cost = cost_model.total({name: len(i) for name, i in keep.items()})
    assert low <= cost < 0.81 * whole


def test_without_limits_the_dead_go_and_nothing_else() -> None:
    model = supernet()
    cost_model = CostModel(model, SHAPE)
    importance = random_importance(model)
    keep = select_within(importance, 0.1, cost_model, (0, math.inf))
    for name, value in importance.items():
        assert keep[name].tolist() == (value >= 0.1).nonzero()[:, 0].tolist()


def test_living_blocks_are_never_emptied() -> None:
    """The least important block of all keeps an element, dead ones do not."""
    model = supernet()
    cost_model = CostModel(model, SHAPE)
    importance = {k: v * 0 + 1 for k, v in importances([model]).items()}
    poor, dead = 'stages.1.branches.0.0.', 'stages.1.branches.1.0.'
    for name, value in importance.items():
        if name.startswith(poor):
            value.mul_(0.5)
        if name.startswith(dead):
            value.mul_(0.01)
    whole = cost_model.total(cost_model.supernet)
    keep = select_within(importance, 0.1, cost_model, (0, 0.3 * whole))
    left = {
        block: sum(len(i) for n, i in keep.items() if n.startswith(block))
        for block in (poor, dead)
    }
    assert left == {poor: 1, dead: 0}


def test_where_single_elements_cost_much_no_more_goes_than_must() -> None:
    """No element fits between the limits: one goes, the other dead stay."""
    model = supernet(num_tokens=0)
    cost_model = CostModel(model, SHAPE)
    importance = {
        name: torch.cat([value[:2] * 0.01, value[2:]])
        for name, value in importances([model]).items()
    }
    whole = cost_model.total(cost_model.supernet)
    high = whole - 1
    keep = select_within(importance, 0.1, cost_model, (high, high))
    gone = sum(len(v) - len(keep[k]) for k, v in importance.items())
    assert gone == 1


@pytest.mark.parametrize('cost', REPORTED, ids=['macs', 'params'])
@pytest.mark.parametrize('share', [0.7, 0.4, 0.25])
def test_a_controlled_descent_meets_the_target(
    cost: Cost, share: float
) -> None:
    """Whatever importance does, the network follows the plan, and arrives."""
    model = supernet(expand_ratio=6)
    budget = budget_of(model, cost, share)
    schedule = Schedule(begin=10, end=110, interval=20)
    controller = BudgetController(budget, schedule, 1.0)
    for iteration in range(30, 111, 20):
        importance = random_importance(model, share_dead=0.5)
        ranking = Ranking.by_threshold(importance, 0.1)
        assert controller.is_due(iteration)
        controller.adapt_(ranking.alive, iteration)
        assert not controller.is_due(iteration)
        counts = controller.select(ranking, iteration)
        shrink_(model, ranking.best(counts))
        spent = budget.spent(architecture_of(model))
        assert spent <= controller.descent.limits(iteration, 20)[1]
    assert 0.95 * budget.amount <= spent <= budget.amount


@pytest.mark.parametrize('share', [0.15, 0.2, 0.4])
def test_twenty_shrinks_keep_what_the_last_one_needs(share: float) -> None:
    """Though Transformers, of many parameters each, are the last to go."""
    model = supernet(
        stages=(
            dict(num_blocks=(1,), num_channels=(6,)),
            dict(num_blocks=(2, 2), num_channels=(4, 8)),
            dict(num_blocks=(2, 2, 2), num_channels=(4, 8, 8)),
        ),
        kernel_sizes=(3, 5, 7),
        expand_ratio=3,
        num_tokens=6,
    )
    budget = budget_of(model, Params(), share)
    controller = BudgetController(budget, Schedule(0, 20, 1), 1.0)
    torch.manual_seed(0)
    importance = {
        name: torch.rand(len(unit)) * (3 if unit.kind == 'tokens' else 1)
        for name, unit in named_search_units(model).items()
    }
    for iteration in range(1, 21):
        for name, value in importance.items():
            importance[name] = value * (0.75 + 0.5 * torch.rand(len(value)))
        ranking = Ranking.by_threshold(importance, 0.0)
        counts = controller.select(ranking, iteration)
        keep = ranking.best(counts)
        importance = {n: v[keep[n]] for n, v in importance.items()}
    assert 0.97 <= budget.spent(counts) / budget.amount <= 1


def test_rho_is_capped() -> None:
    """In a short search importance has no time to fall."""
    model = supernet()
    schedule = Schedule(begin=0, end=40, interval=1)
    controller = BudgetController(
        budget_of(model, REPORTED[0], 0.5), schedule, 0.01
    )
    for iteration in range(1, 40):
        controller.adapt_(architecture_of(model), iteration)
    assert controller.rho == pytest.approx(1.0)


def test_controller_goes_on_as_it_was() -> None:
    schedule = Schedule(0, 100, 20)
    budget = budget_of(supernet(), REPORTED[0], 0.5)
    first, second = (
        BudgetController(budget, schedule, rho) for rho in (1.0, 5.0)
    )
    first.adapt_(architecture_of(supernet()), 40)
    second.load_state_dict(first.state_dict())
    assert second.rho == first.rho and second.descent == first.descent
    assert second.last_shrink == 40


def test_a_new_plan_starts_where_the_network_is() -> None:
    budget = budget_of(supernet(), REPORTED[0], 0.5)
    controller = BudgetController(budget, Schedule(0, 100, 20), 1.0)
    supernet_ = budget.cost_model.supernet
    controller.replan_(supernet_, 60)
    assert controller.descent.at(60) == budget.spent(supernet_)
    with pytest.raises(ValueError, match='cannot grow back'):
        controller.replan_({}, 60)


def test_schedule() -> None:
    schedule = Schedule(begin=2, end=11, interval=4, warmup=4)
    due, last = [], -1
    for i in range(14):
        if schedule.is_due(i, last):
            due.append(i)
            last = i
    assert due == [6, 10, 11]
    factors = [schedule.factor(i) for i in range(13)]
    assert factors == [0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 0, 0]
    # One that had to wait stays due, and is made up for once.
    assert schedule.is_due(7, last=-1) and not schedule.is_due(7, last=7)
    assert schedule.is_due(12, last=10) and not schedule.is_due(12, last=11)


@pytest.mark.parametrize('cost', REPORTED, ids=['macs', 'params'])
@pytest.mark.parametrize('share', [0.9, 0.6, 0.45])
def test_uniform_baseline(cost: Cost, share: float) -> None:
    budget = budget_of(supernet(expand_ratio=12), cost, share)
    architecture = uniform_architecture(budget)
    total = budget.spent(architecture)
    assert 0.97 * budget.amount <= total <= budget.amount
    whole = budget.cost_model.supernet
    ratios = [(n - 1) / whole[name] for name, n in architecture.items()]
    least = min((n + 1) / whole[name] for name, n in architecture.items())
    assert max(ratios) <= least  # one ratio, up to one element


def test_uniform_baseline_of_too_little() -> None:
    with pytest.raises(ValueError, match='one element per unit costs'):
        uniform_architecture(Budget(10, tiny_costs()))


@pytest.mark.parametrize('cost', REPORTED, ids=['macs', 'params'])
@pytest.mark.parametrize('share', [0.9, 0.5])
def test_random_architecture(cost: Cost, share: float) -> None:
    budget = budget_of(supernet(expand_ratio=12), cost, share)
    drawn = [random_architecture(budget, s) for s in range(5)]
    for architecture in drawn:
        total = budget.spent(architecture)
        assert 0.97 * budget.amount <= total <= budget.amount
        for name, count in architecture.items():
            assert 0 <= count <= budget.cost_model.supernet[name]
    assert len({str(architecture) for architecture in drawn}) == 5
    assert drawn[3] == random_architecture(budget, 3)
    model = supernet(expand_ratio=12)
    apply_architecture_(model, drawn[0])
    macs = budget.cost_model.counting(REPORTED[0])
    assert counted(model, SHAPE) == macs.total(drawn[0])
