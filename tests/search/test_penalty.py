"""Eq. (7), written out, and its gradient by autograd."""

import pytest
import torch
from tiny import supernet

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
def test_equals_the_sum_written_out(cost: str) -> None:
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


def test_normaliser_stays_that_of_the_supernet() -> None:
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


def test_warmup() -> None:
    assert [linear_warmup(i, 4) for i in range(6)] == [
        0.25,
        0.5,
        0.75,
        1.0,
        1.0,
        1.0,
    ]
    assert linear_warmup(0, 0) == 1.0
