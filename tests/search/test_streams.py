"""Units whose elements have several factors, and never lose the last."""

import pytest
import torch
from torch import nn

from hrnas_mm.modules.stock import searchable_
from hrnas_mm.search import (
    BestRemovals,
    CostModel,
    OneByOne,
    Params,
    Ranking,
    ResourcePenalty,
    apply_architecture_,
    importances,
    named_search_units,
    parse_budget,
    random_architecture,
    select_alive,
    shrink_,
    uniform_architecture,
)
from hrnas_mm.search.importance import TaylorImportance

STREAM, INNER = 'stem.0', 'inner.0'


def layers(a: int, b: int) -> nn.Sequential:
    conv = nn.Conv2d(a, b, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(b), nn.ReLU())


class Residual(nn.Module):
    """A stream of 6 channels, to which a block of 5 inside adds."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner = layers(3, 6), layers(6, 5)
        self.outer, self.head = layers(5, 6), nn.Conv2d(6, 4, 1)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head(x + self.outer(self.inner(x)))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    model = Residual()
    searchable_(model, torch.zeros(2, 3, 8, 8), widths='all')
    assert len(named_search_units(model)[STREAM].scales) == 2
    return model


def test_penalty_is_shared_by_the_factors(model: nn.Module) -> None:
    units = named_search_units(model)
    penalty = ResourcePenalty(CostModel(model, (3, 8, 8)), model)
    prices = penalty.cost_model.prices({n: len(u) for n, u in units.items()})
    expected = sum(
        prices[name]
        / penalty.mean_price
        * torch.stack([s[i] for s in unit.scales]).square().mean().sqrt()
        for name, unit in units.items()
        for i in range(len(unit))
    )
    torch.testing.assert_close(penalty(), expected)
    scales = [s for unit in units.values() for s in unit.scales]
    gradient = torch.cat(torch.autograd.grad(penalty(), scales))
    torch.testing.assert_close(penalty.gradient(), gradient)
    for scale in scales:
        scale.data.zero_()
    penalty().backward()
    assert not any(scale.grad.any() for scale in scales)


def test_shifts_follow_once_an_element_is_dead(model: nn.Module) -> None:
    penalty = ResourcePenalty(CostModel(model, (3, 8, 8)), model)
    units = named_search_units(model)
    unit = units[STREAM]
    for shift in unit.shifts:
        nn.init.uniform_(shift.data, 0.1, 0.5)
    for shift in torch.autograd.grad(penalty(), unit.shifts):
        assert not shift.any()
    before = penalty()
    price = penalty.cost_model.prices({n: len(u) for n, u in units.items()})
    factor = price[STREAM] / penalty.mean_price
    scales = torch.stack([scale[2] for scale in unit.scales])
    for scale in unit.scales:
        scale.data[2] = 5e-4
    shifts = torch.stack([shift[2] for shift in unit.shifts])
    change = 5e-4 + shifts.square().mean().sqrt()
    change -= scales.square().mean().sqrt()
    torch.testing.assert_close(penalty() - before, factor * change)
    for shift in torch.autograd.grad(penalty(), unit.shifts):
        assert shift[2] > 0 and not shift[[0, 1, 3, 4]].any()


def test_importance_is_that_of_all_factors(model: nn.Module) -> None:
    unit = named_search_units(model)[STREAM]
    mean = torch.stack(unit.scales).square().mean(0)
    torch.testing.assert_close(importances([model])[STREAM], mean.sqrt())
    cost_model = CostModel(model, (3, 8, 8))
    taylor = TaylorImportance(ResourcePenalty(cost_model, model))
    model(torch.randn(4, 3, 8, 8)).square().mean().backward()
    taylor.add_(rho=0.0)
    products = [s * s.grad for s in unit.scales if s.grad is not None]
    lost = torch.stack(products).sum(0)
    score = taylor.ranked(importances([model]), 1e-3, cost_model).score
    price = cost_model.prices(cost_model.supernet)[STREAM]
    torch.testing.assert_close(score[STREAM], lost.abs() / price)
    state = taylor.state_dict()
    taylor.load_state_dict(state)
    assert taylor.state_dict() == state


@pytest.mark.parametrize('cut', [OneByOne(), BestRemovals(2)])
def test_one_element_of_each_stays(
    model: nn.Module, cut: OneByOne | BestRemovals
) -> None:
    cost_model = CostModel(model, (3, 8, 8))
    zeros = {n: torch.zeros(k) for n, k in cost_model.supernet.items()}
    ranking = Ranking.by_threshold(zeros, 1e-3)
    assert cut(ranking, cost_model, (0.0, 0.0)) == {STREAM: 1, INNER: 1}
    assert cut.smallest(cost_model) == {STREAM: 1, INNER: 1}
    least = cost_model.total({STREAM: 1, INNER: 1})
    if isinstance(cut, OneByOne):
        assert cut.least(cost_model) == least
        with pytest.raises(ValueError, match='at least'):
            parse_budget(least - 1, cost_model)


def test_nothing_leaves_less(model: nn.Module) -> None:
    for unit in named_search_units(model).values():
        for scale in unit.scales:
            scale.data.zero_()
    assert [len(k) for k in select_alive([model], 1e-3).values()] == [1, 1]
    with pytest.raises(ValueError, match='must keep at least 1 of its'):
        shrink_(model, {STREAM: torch.arange(0)})
    with pytest.raises(ValueError, match='must have 1 to 5 elements, got 0'):
        apply_architecture_(model, {STREAM: 6, INNER: 0})


@pytest.mark.parametrize('cost', [dict(macs=0.3), dict(params=0.4)])
def test_baselines_meet_a_budget(
    model: nn.Module, cost: dict[str, float]
) -> None:
    budget = parse_budget(cost, CostModel(model, (3, 8, 8)))
    for architecture in (
        uniform_architecture(budget),
        random_architecture(budget, seed=0),
    ):
        assert min(architecture.values()) >= 1
        assert 0.7 * budget.amount < budget.spent(architecture)
        assert budget.spent(architecture) <= budget.amount


def test_price_in_parameters_is_what_an_element_owns(
    model: nn.Module,
) -> None:
    cost_model = CostModel(model, (3, 8, 8), Params())
    prices = cost_model.prices(cost_model.supernet)
    # 3x3 kernels from and to its neighbours, and two vectors of each norm.
    assert prices[INNER] == 9 * 6 + 9 * 6 + 2
    assert prices[STREAM] == 9 * 3 + 9 * 5 + 9 * 5 + 4 + 4
