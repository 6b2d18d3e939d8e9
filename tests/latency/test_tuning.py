"""The fastest deployed form, of those that a timer has timed."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import pytest
import torch
from tiny import supernet, with_statistics
from torch import Tensor, nn

from hrnas_mm.deploy import DeployableModel, cost_model_of
from hrnas_mm.latency import tuned_form
from hrnas_mm.latency.tuning import _Tuner
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


def several(model: nn.Module) -> dict[str, list[int]]:
    """Return the kernel sizes of the blocks that have several paths."""
    sizes = {
        name: sorted(int(unit[1:]) for unit in module.search_units())
        for name, module in model.named_modules()
        if isinstance(module, MixConv)
    }
    return {name: each for name, each in sizes.items() if len(each) > 1}


@pytest.mark.parametrize('each', [1.0, -1.0])
def test_each_block_gets_its_best_form(model: nn.Module, each: float) -> None:
    tuner = _Tuner(model, SHAPE, Counting(each), 3.0, print)
    parts = cost_model_of(model, SHAPE).parts.values()
    choices = tuner.best_choices(parts, step=4)
    expected = several(model)
    assert len(choices) == len(expected) + 1  # the joining block
    for name, sizes in expected.items():
        groups = choices[name].division
        assert groups is not None
        assert sorted(size for group in groups for size in group) == sizes
        assert len(groups) == (1 if each > 0 else len(sizes))


def test_the_fastest_form_is_taken(model: nn.Module) -> None:
    said: list[str] = []
    found = tuned_form(
        model, SHAPE, Counting(-1.0), round=4, report=said.append
    )
    assert found.round == 4 and all('of 4' in name for name in found.ms)
    assert said[0] == 'preparing the network by constants, multiples of 4'
    # The constants merge nearly all, and here each convolution saves time.
    tuned, constants = found.ms[found.name], [*found.ms.values()][0]
    assert found.name.startswith('tuned') and tuned < constants
    apart = len(several(model))
    assert f'{apart} have them apart, 0 merged, 0 merged in part' in str(found)
    assert 'the joining block reads its maps' in str(found)


def test_a_wrong_multiple_is_refused(model: nn.Module) -> None:
    with pytest.raises(ValueError, match='round must be'):
        tuned_form(model, SHAPE, Counting(1.0), round='many')


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
