"""Eq. (7), written out, and its gradient by autograd."""

import pytest
import torch
from tiny import supernet

from hrnas_mm.search import (
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
    penalty = ResourcePenalty(cost_model, cost)
    penalty.bind_(model)
    deltas = cost_model.deltas(architecture_of(model), cost)
    elements = [
        (deltas[name], a)
        for name, unit in units.items()
        for a in unit.alpha.tolist()
    ]
    mean = sum(delta for delta, _ in elements) / len(elements)
    expected = sum(delta / mean * abs(a) for delta, a in elements)
    assert penalty().item() == pytest.approx(expected, rel=1e-5)
    penalty().backward()
    name, unit = next(iter(units.items()))
    torch.testing.assert_close(
        unit.alpha.grad, deltas[name] / mean * unit.alpha.sign()
    )


def test_normaliser_stays_that_of_the_supernet():
    model = supernet()
    penalty = ResourcePenalty(CostModel(model, (3, 64, 64)))
    penalty.bind_(model)
    full = penalty().item()
    assert full == pytest.approx(
        sum(len(u) for u in named_search_units(model).values()), rel=1e-5
    )
    keep = {name: torch.arange(1) for name in named_search_units(model)}
    shrink_(model, keep)
    penalty.bind_(model)
    channel = 'fuse.mixconv.k3'
    delta = penalty.cost_model.deltas(architecture_of(model))[channel]
    alone = named_search_units(model)[channel]
    penalty().backward()
    assert alone.alpha.grad.item() == pytest.approx(delta / penalty.mean_delta)


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
