"""Eq. (7), written out, and its gradient by autograd."""

import pytest
import torch
from tiny import supernet
from torch.optim import SGD, Adam, AdamW, RMSprop

from hrnas_mm.search import (
    COSTS,
    CostModel,
    ResourcePenalty,
    architecture_of,
    linear_warmup,
    named_search_units,
    shrink_,
)


@pytest.mark.parametrize('cost', ['macs', 'eq6'])
def test_equals_the_sum_written_out(cost):
    model = supernet()
    units = named_search_units(model)
    for unit in units.values():
        torch.nn.init.normal_(unit.alpha)
    cost_model = CostModel(model, (3, 64, 64))
    cost_model = cost_model.counting(COSTS[cost])
    penalty = ResourcePenalty(cost_model, model)
    prices = cost_model.prices(architecture_of(model))
    elements = [
        (prices[name], a)
        for name, unit in units.items()
        for a in unit.alpha.tolist()
    ]
    mean = sum(price for price, _ in elements) / len(elements)
    expected = sum(price / mean * abs(a) for price, a in elements)
    assert penalty().item() == pytest.approx(expected, rel=1e-5)
    penalty().backward()
    name, unit = next(iter(units.items()))
    torch.testing.assert_close(
        unit.alpha.grad, prices[name] / mean * unit.alpha.sign()
    )


def test_normaliser_stays_that_of_the_supernet():
    model = supernet()
    penalty = ResourcePenalty(CostModel(model, (3, 64, 64)), model)
    full = penalty().item()
    assert full == pytest.approx(
        sum(len(u) for u in named_search_units(model).values()), rel=1e-5
    )
    keep = {name: torch.arange(1) for name in named_search_units(model)}
    shrink_(model, keep)  # the penalty notices by itself
    channel = 'fuse.mixconv.k3'
    price = penalty.cost_model.prices(architecture_of(model))[channel]
    alone = named_search_units(model)[channel]
    penalty().backward()
    assert alone.alpha.grad.item() == pytest.approx(price / penalty.mean_price)


def test_warmup():
    assert [linear_warmup(i, 4) for i in range(6)] == [
        0.25,
        0.5,
        0.75,
        1.0,
        1.0,
        1.0,
    ]
    assert linear_warmup(0, 0) == 1.0


OPTIMIZERS = {
    'sgd': lambda p, **kw: SGD(p, momentum=0.9, **kw),
    'adam': Adam,
    'adamw_foreach': lambda p, **kw: AdamW(p, foreach=True, **kw),
    'rmsprop': RMSprop,
}


@pytest.mark.parametrize('make', OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_proximal_step_is_the_minimum_it_is_defined_by(make):
    """alpha = argmin (x - alpha)^2 / 2 + lr rho price |x|, on a grid."""
    model = supernet()
    units = named_search_units(model)
    for unit in units.values():
        unit.alpha.data = 2 * torch.rand(len(unit)) - 1
    low = [u.alpha for n, u in units.items() if n.endswith('k3')]
    high = [u.alpha for n, u in units.items() if not n.endswith('k3')]
    optimizer = make(
        [dict(params=low, lr=0.01), dict(params=high, lr=0.1)], lr=1.0
    )
    cost_model = CostModel(model, (3, 32, 32))
    penalty = ResourcePenalty(cost_model, model)
    before = {name: u.alpha.detach().clone() for name, u in units.items()}
    penalty.soft_threshold_(2.0, optimizer)
    prices = cost_model.prices(cost_model.supernet)
    for name, unit in units.items():
        lr = 0.01 if name.endswith('k3') else 0.1
        step = lr * 2.0 * prices[name] / penalty.mean_price
        grid = torch.linspace(-1, 1, 20001, dtype=torch.double)[:, None]
        objective = (grid - before[name].double()) ** 2 / 2 + step * grid.abs()
        expected = grid[objective.argmin(0), 0]
        torch.testing.assert_close(
            unit.alpha.data.double(), expected, rtol=0, atol=1e-4
        )
        exact = before[name].abs() <= step
        assert (unit.alpha.data[exact] == 0).all()
    assert any((u.alpha == 0).any() for u in units.values())


def test_proximal_step_leaves_what_is_not_optimized():
    model = supernet()
    penalty = ResourcePenalty(CostModel(model, (3, 32, 32)), model)
    (name, unit), (_, frozen), *_ = named_search_units(model).items()
    frozen.alpha.requires_grad_(False)
    optimizer = SGD([unit.alpha, frozen.alpha], lr=0.01)
    penalty.soft_threshold_(1.0, optimizer)
    for other, found in named_search_units(model).items():
        assert bool((found.alpha == 1).all()) == (other != name)
