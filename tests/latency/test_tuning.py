"""The fastest deployed form, of those that a timer has timed."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import pytest
import torch
from tiny import supernet, with_statistics
from torch import Tensor, nn

from hrnas_mm.deploy import DeployableModel
from hrnas_mm.latency import tuned_form
from hrnas_mm.modules import MixConv
from hrnas_mm.search import apply_architecture_, architecture_of

SHAPE = (3, 64, 96)


class Counting:
    """A device on which only the number of convolutions counts.

    Args:
        each: Milliseconds of one of them; below zero they save time.
    """

    backend, form, onnx, version = 'channels_last', 'torch', False, '0'
    device, dtype, slow = 'abacus', 'float32', False

    def __init__(self, each: float) -> None:
        self.each = each

    def ready(
        self, name: str, make: Callable[[], nn.Module], image: Tensor
    ) -> float:
        convs = [m for m in make().modules() if isinstance(m, nn.Conv2d)]
        return 1000 + self.each * len(convs)

    def times(
        self, ready: Mapping[str, float], limit: float, warm: bool = True
    ) -> dict[str, float]:
        return dict(ready)


@pytest.fixture(scope='module')
def model() -> Any:
    net = with_statistics(supernet()).eval()
    counts = architecture_of(net)
    first = next(unit for unit in counts if unit.endswith('k5'))
    apply_architecture_(net, {**counts, first: 0})
    return net


@pytest.mark.parametrize('each', [1.0, -1.0])
def test_the_fastest_form_is_found(model: nn.Module, each: float) -> None:
    said: list[str] = []
    found = tuned_form(
        model, SHAPE, Counting(each), round=4, report=said.append
    )
    assert found.round == 4 and all('of 4' in name for name in found.ms)
    assert said[0] == 'preparing the network by constants, multiples of 4'
    mixconvs = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, MixConv)
    }
    divided = {n: c.division for n, c in found.choices.items() if c.division}
    assert found.ms[found.name] == min(found.ms.values())
    if each < 0:  # the constants for torch merge nearly all
        assert found.name.startswith('tuned')
    for name, division in divided.items():
        sizes = sorted(size for group in division for size in group)
        units = mixconvs[name].search_units()
        assert sizes == sorted(int(unit[1:]) for unit in units)
        assert len(division) == (1 if each > 0 else len(sizes))
    if found.name.startswith('tuned'):
        assert divided.keys() == {
            n for n, m in mixconvs.items() if len(m.search_units()) > 1
        }
        assert len(found.choices) == len(divided) + 1  # the joining block
        assert 'the joining block reads its maps' in str(found)


def test_any_choice_computes_the_same(model: nn.Module) -> None:
    net = deepcopy(model).double()
    image = torch.randn(1, *SHAPE, dtype=torch.float64)
    with torch.no_grad():
        expected = net(image)
    options = {
        name: module.options()
        for name, module in net.named_modules()
        if hasattr(module, 'options')
    }
    assert max(map(len, options.values())) == 2
    for turn in range(2):
        choices = {n: each[turn % len(each)] for n, each in options.items()}
        deployed = DeployableModel(net, choices=choices, input_shape=SHAPE)
        for out, each in zip(deployed(image), expected):
            torch.testing.assert_close(out, each, rtol=1e-9, atol=1e-9)


def test_the_fastest_multiple_is_taken(model: nn.Module) -> None:
    class Eights(Counting):
        def ready(self, name: str, *_: Any) -> float:
            return 1.0 if name.endswith('multiples of 8') else 2.0

    net = deepcopy(model)
    counts = architecture_of(net)
    one = next(unit for unit in counts if unit.endswith('k3'))
    apply_architecture_(net, {**dict.fromkeys(counts, 0), one: 2})
    found = tuned_form(net, SHAPE, Eights(1.0))
    assert found.round == 8 and len(found.ms) >= 3


def test_a_network_without_units_has_nothing_to_tune() -> None:
    with pytest.raises(ValueError, match='must have search units'):
        tuned_form(nn.Conv2d(3, 4, 3), SHAPE, Counting(1.0))
