"""Residual blocks of stock networks that lose all of their channels."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
import torch
from small_networks import Net, block
from torch import Tensor, nn

from hrnas_mm.deploy.deployable import deployed_
from hrnas_mm.modules.deployed import form_of
from hrnas_mm.modules.stock import searchable_, switch_off_
from hrnas_mm.search import (
    BestRemovals,
    Budget,
    Cost,
    CostModel,
    Params,
    Part,
    Ranking,
    Trace,
    apply_architecture_,
    architecture_in,
    architecture_of,
    named_search_units,
    random_architecture,
    shrink_,
    trace,
    uniform_architecture,
)


def added(net: Any, x: Tensor) -> Tensor:
    return net.act(x + net.branch(x))


def conv(a: int, b: int, kernel: int) -> nn.Sequential:
    return block(a, b, kernel)[:2]


BLOCKS = {
    'basic': lambda: Net(
        added,
        branch=nn.Sequential(block(6, 8, 3), conv(8, 6, 3)),
        act=nn.ReLU6(),
    ),
    'bottleneck': lambda: Net(
        added,
        branch=nn.Sequential(block(6, 8), block(8, 7, 3), conv(7, 6, 1)),
        act=nn.ReLU(),
    ),
    'inverted': lambda: Net(
        added,
        branch=nn.Sequential(
            block(6, 8), block(8, 8, 3, groups=8), conv(8, 6, 1)
        ),
        act=nn.Identity(),
    ),
    'inside': lambda: Net(  # the branch, which has the unit, is no block
        lambda net, x: x + net.branch(x),
        branch=nn.Sequential(block(6, 8, 3), conv(8, 6, 1)),
    ),
}


def network(middle: nn.Module) -> nn.Module:
    """A block between others, with norms as after training."""
    torch.manual_seed(0)
    last = nn.Sequential(block(6, 4, 3), nn.Conv2d(4, 2, 1))
    net = nn.Sequential(block(3, 6, 3), middle, last).double()
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
    searchable_(net, torch.zeros(2, 3, 8, 8, dtype=torch.double))
    return net.eval()


def without(net: nn.Module, unit: str) -> nn.Module:
    """A copy in which the channels of a unit are switched off."""
    net = deepcopy(net)
    found = named_search_units(net)[unit]
    switch_off_(found, torch.arange(len(found)))
    return net


def all_zero(whole: nn.Module) -> dict[str, int]:
    """The architecture without the block in the middle."""
    return {
        name: 0 if name.startswith('1.') else n
        for name, n in architecture_of(whole).items()
    }


@pytest.mark.parametrize('name', BLOCKS)
def test_a_block_becomes_its_shortcut(name: str) -> None:
    whole, x = network(BLOCKS[name]()), 4 * torch.randn(2, 3, 10, 12).double()
    expected = all_zero(whole)
    assert 0 in expected.values()
    for unit in [unit for unit, n in expected.items() if n == 0]:
        net = without(whole, unit)
        out = net(x)
        optimizer = torch.optim.AdamW(net.parameters())
        shrink_(net, {unit: torch.arange(0)}, optimizer)
        assert architecture_of(net) == expected
        torch.testing.assert_close(net(x), out)
        # What is left is trained, and what is gone is out of the optimizer.
        before = deepcopy(net.state_dict())
        net.train()(x).sum().backward()
        optimizer.step()
        (left,) = [key for key in before if key.startswith('1.')]
        assert not torch.equal(net.state_dict()[left], before[left])
        group = optimizer.param_groups[0]['params']
        assert {*map(id, group)} == {*map(id, net.parameters())}


@pytest.mark.parametrize('name', BLOCKS)
def test_its_costs_weights_and_deployed_form(name: str) -> None:
    whole, x = network(BLOCKS[name]()), torch.randn(1, 3, 10, 12).double()
    cost_model, counts = CostModel(whole, (3, 10, 12)), all_zero(whole)
    net = deepcopy(whole)
    apply_architecture_(net, counts)
    assert cost_model.total(counts) == trace(net, (3, 10, 12)).macs['']
    params = cost_model.counting(Params()).total(counts)
    assert params == sum(p.numel() for p in net.parameters())
    # The costs of what is gone are still known.
    totals = [
        model.total(whole_counts)
        for whole_counts in [architecture_of(whole)]
        for model in (cost_model, cost_model.counting(Params()))
    ]
    assert totals[1] == sum(p.numel() for p in whole.parameters())
    assert totals[0] == trace(whole, (3, 10, 12)).macs['']
    # A checkpoint says it.
    state = net.state_dict()
    assert architecture_in(state, whole) == counts
    again = deepcopy(whole)
    apply_architecture_(again, counts)
    again.load_state_dict(state)
    assert torch.equal(again(x), net(x))
    out = net(x)
    form = form_of('onnxruntime', 'auto', 8, {})
    torch.testing.assert_close(deployed_(net, form)(x), out)


@pytest.mark.parametrize('name', ['bottleneck', 'inverted'])
def test_a_single_channel_is_rounded_up(name: str) -> None:
    """A dense layer from one channel to one is no depthwise layer."""
    net, x = network(BLOCKS[name]()), torch.randn(1, 3, 10, 12).double()
    counts = dict.fromkeys(architecture_of(net), 1)
    apply_architecture_(net, counts)
    out = net(x)
    form = form_of('onnxruntime', 'auto', 8, {})
    torch.testing.assert_close(deployed_(net, form)(x), out)


def test_other_blocks_keep_a_channel_of_each_unit() -> None:
    one_of_two = Net(
        lambda net, x: torch.relu(x + net.out(net.a(x) + 0 * net.b(x))),
        a=conv(6, 8, 3),
        b=conv(6, 8, 1),
        out=conv(8, 6, 1),
    )
    side_by_side = Net(
        lambda net, x: x + net.out(torch.cat([net.a(x), net.b(x)], 1)),
        a=block(6, 8, 3),
        b=block(6, 8, 1),
        out=conv(16, 6, 1),
    )
    hidden = Net(  # has no effect at first
        lambda net, x: x + net.branch(x) + net.extra(x) * net.gain,
        branch=nn.Sequential(block(6, 8, 3), conv(8, 6, 1)),
        extra=nn.Conv2d(6, 6, 3, padding=1),
    )
    hidden.gain = nn.Parameter(torch.zeros(()))
    no_shortcut = nn.Sequential(block(6, 8, 3), conv(8, 6, 1))
    for middle in (one_of_two, side_by_side, hidden, no_shortcut):
        units = named_search_units(network(middle))
        inside = [unit for name, unit in units.items() if name[:2] == '1.']
        assert [unit.least for unit in inside] == [1] * len(inside)


class Time(Cost):
    """A time that a block takes however few channels it has."""

    name, noun, cut = 'time', 'ms', BestRemovals(2)

    def part(self, part: Part, counts: Mapping[str, int]) -> float:
        """Return 2 ms, and a tenth of one for each channel."""
        own = [counts[unit] for unit in part.units]
        return 2 + 0.1 * sum(own) if all(own) else 0.0

    def whole(self, trace: Trace) -> float:
        """Return the milliseconds of nothing else."""
        return 0.0

    def rest(self, trace: Trace, searched: float) -> float:
        """Return the milliseconds of what is not searched."""
        return 0.0


def test_units_of_a_block_go_together() -> None:
    net = network(BLOCKS['bottleneck']())
    first, second, last = architecture_of(net)
    gone = {first: 0, second: 0, last: 4}
    shrunk = deepcopy(net)
    shrink_(shrunk, {second: torch.arange(0)})
    assert architecture_of(shrunk) == gone
    time = CostModel(net, (3, 10, 12), Time())
    assert time.settled({first: 3, second: 0, last: 4}) == gone
    # The block takes 2 ms, and a tenth of one for each channel.
    assert time.cost.cut.least(time) == pytest.approx(2.2 + 2.1)
    for architecture in (
        uniform_architecture(Budget(3.0, time)),
        random_architecture(Budget(3.0, time), seed=0),
    ):
        assert architecture[first] == architecture[second] == 0
    # What all units together are worth is not more than the dearest of them.
    scores = {first: torch.ones(8), second: torch.full((7,), 0.1)}
    ranking = Ranking.by_threshold({**scores, last: torch.ones(4)}, 1e-3)
    counts = time.cost.cut(ranking, time, (0.0, 3.0))
    assert counts == gone
    alone: Any = net
    with pytest.raises(ValueError, match='every element of every'):
        shrink_(alone[:2], {second: torch.arange(0)})


def test_what_is_left_of_a_block_keeps_the_type_of_its_map() -> None:
    net: Any = network(BLOCKS['basic']()).float()
    apply_architecture_(net, all_zero(net))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        map = torch.randn(1, 6, 4, 4, dtype=torch.bfloat16)
        assert net[1](map).dtype is torch.bfloat16


def test_a_cut_takes_a_block_for_its_time_alone() -> None:
    net = network(BLOCKS['inverted']())
    time = CostModel(net, (3, 10, 12), Time())
    assert time.supernet == {'1.branch.0.0': 8, '2.0.0': 4}
    # Its channels are worth more than those behind it.
    scores = {'1.branch.0.0': torch.ones(8), '2.0.0': torch.full((4,), 0.9)}
    ranking = Ranking.by_threshold(scores, 1e-3)
    counts = time.cost.cut(ranking, time, (0.0, 2.5))
    assert counts == {'1.branch.0.0': 0, '2.0.0': 4}
    # Multiply-adds have no such times: one channel of each stays.
    macs = CostModel(net, (3, 10, 12))
    dead = {name: torch.zeros(len(score)) for name, score in scores.items()}
    counts = macs.cost.cut(Ranking.by_threshold(dead, 1e-3), macs, (0, 0))
    assert counts == {'1.branch.0.0': 1, '2.0.0': 1}
