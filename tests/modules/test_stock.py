"""Coupled channels, against the removal of each by itself."""

from copy import deepcopy

import pytest
import torch
from small_networks import CASES, block
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from hrnas_mm.modules.stock import searchable_, switch_off_
from hrnas_mm.search import (
    CostModel,
    Params,
    named_search_units,
    shrink_,
    trace,
)


def ready(net: nn.Module) -> nn.Module:
    """In float64, with norms as after training."""
    for module in net.double().modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.5, 0.5)
    return net


def outputs(net: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([y.flatten() for y in tree_leaves(net(x))])


@pytest.mark.parametrize('case', CASES)
def test_removing_each_channel_by_itself(case: str) -> None:
    torch.manual_seed(0)
    build, units, reasons = CASES[case]
    net, x = ready(build()), torch.randn(2, 3, 8, 8, dtype=torch.double)
    if not units:
        with pytest.raises(ValueError, match='no channels to search') as error:
            searchable_(net, x, widths='all')
        for layer, reason in reasons.items():
            assert f'{layer}: ' in str(error.value)
            assert reason in str(error.value)
        return
    stock = outputs(net.eval(), x)
    selection = searchable_(net, x, widths='all')
    assert torch.equal(outputs(net, x), stock)
    found = named_search_units(net)
    assert {name: len(unit) for name, unit in found.items()} == units
    for layer, reason in reasons.items():
        assert selection.reasons[layer] == reason
    for name, n in units.items():
        for i in range(n):
            one = deepcopy(net)
            switch_off_(named_search_units(one)[name], [i])
            expected = outputs(one, x)
            keep = torch.tensor([k for k in range(n) if k != i])
            shrink_(one, {name: keep})
            torch.testing.assert_close(outputs(one, x), expected)


@pytest.mark.parametrize('case', [c for c in CASES if CASES[c].units])
def test_costs_are_those_of_torch(case: str) -> None:
    net = ready(CASES[case].net())
    searchable_(net, torch.zeros(2, 3, 8, 8, dtype=torch.double), widths='all')
    shape = (3, 8, 8) if case == 'flattened' else (3, 10, 12)
    macs = CostModel(net, shape)
    counts = {name: n // 2 for name, n in CASES[case].units.items()}
    shrink_(net, {name: torch.arange(n) for name, n in counts.items()})
    assert macs.total(counts) == trace(net, shape).macs['']
    params = macs.counting(Params()).total(counts)
    assert params == sum(p.numel() for p in net.parameters())


def test_units_of_frozen_layers_stay() -> None:
    net = nn.Sequential(block(3, 6), block(6, 5), nn.Conv2d(5, 4, 1))
    net[0].requires_grad_(False)
    searchable_(net, torch.zeros(2, 3, 8, 8))
    assert list(named_search_units(net)) == ['1.0']
