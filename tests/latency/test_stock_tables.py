"""Tables of milliseconds for the blocks of stock networks."""

from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from milliseconds import table_of_formula
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from hrnas_mm.deploy.deployable import deployed_
from hrnas_mm.latency import Latency, TableBuilder
from hrnas_mm.latency.calibration import (
    calibrated,
    nearly_empty,
    random_networks,
    unknown,
)
from hrnas_mm.latency.layer_benches import LAYER, layer_benches
from hrnas_mm.latency.layers import WHOLE, layers_in
from hrnas_mm.latency.points import kinds_of, points_of, widths_of
from hrnas_mm.latency.repeated import Repeated, part_alone
from hrnas_mm.latency.table import Curve
from hrnas_mm.modules import searchable_
from hrnas_mm.modules.deployed import form_of
from hrnas_mm.search import (
    CostModel,
    apply_architecture_,
    architecture_of,
    trace,
)
from hrnas_mm.search.ranking import Ranking
from hrnas_mm.search.units import Part

pytest.importorskip('mmseg')
SHAPE = (3, 64, 96)
FORM = form_of('onnxruntime', 'always', 4, {})
BOTTLENECKS = dict(
    type='mmseg.ResNet',
    depth=50,
    base_channels=12,
    stem_channels=8,
    num_stages=2,
    strides=(1, 2),
    dilations=(1, 1),
    out_indices=(1,),
    norm_cfg=dict(type='BN'),
)


@pytest.fixture(scope='module')
def model() -> Any:
    net = MODELS.build(dict(type='Searchable', module=BOTTLENECKS))
    net.eval()
    return net


@pytest.fixture(scope='module')
def cost_model(model: nn.Module) -> CostModel:
    return CostModel(model, SHAPE)


def test_a_share_is_that_of_the_deployed_multiply_adds(
    model: nn.Module, cost_model: CostModel
) -> None:
    """Against torch's counter of what is deployed."""
    part = cost_model.parts['layer1.0']
    layers = {layer.name: layer for layer in layers_in(part)}
    assert layers.keys() == {'conv1', 'conv2', 'conv3'}

    def macs(counts: dict[str, int]) -> Mapping[str, int]:
        small = deepcopy(model)
        named = {f'layer1.0.{unit}': n for unit, n in counts.items()}
        apply_architecture_(small, {**cost_model.supernet, **named})
        found = trace(deployed_(small, FORM), SHAPE).macs
        return {name: found[f'layer1.0.{name}'] for name in layers}

    whole = macs(dict(conv1=12, conv2=12))
    for counts in (dict(conv1=12, conv2=12), dict(conv1=3, conv2=10)):
        named = {f'layer1.0.{unit}': n for unit, n in counts.items()}
        left = macs(counts)
        for name, layer in layers.items():
            share = layer.share(named, FORM.step)
            assert share == round(WHOLE * left[name] / whole[name])
    empty = {'layer1.1.conv1': 0, 'layer1.1.conv2': 5}
    for layer in layers_in(cost_model.parts['layer1.1']):
        assert layer.share(empty, FORM.step) == 0


def test_widths_rise_to_the_whole_network(cost_model: CostModel) -> None:
    kinds, examples = kinds_of(cost_model)
    assert kinds['layer1.1'] == kinds['layer1.2'] != kinds['layer1.0']
    assert not any([*points_of(part, FORM)] for part, _ in examples.values())
    widths = widths_of(cost_model, FORM)
    assert widths[-1] == cost_model.supernet
    macs = [cost_model.total(counts) for counts in widths]
    assert macs == sorted(set(macs))
    full = cost_model.supernet
    for counts in widths:
        assert all(n % 4 == 0 or n == full[u] for u, n in counts.items())


def test_each_kind_of_layer_is_timed_once(
    model: nn.Module, cost_model: CostModel
) -> None:
    """Those of the blocks that are alike read maps of the same size."""
    examples = kinds_of(cost_model)[1]
    parts = {kind: part for kind, (part, _) in examples.items()}

    def deployed(counts: Mapping[str, int]) -> nn.Module:
        small = deepcopy(model)
        apply_architecture_(small, counts)
        return deployed_(small, FORM)

    widths = widths_of(cost_model, FORM)
    found = layer_benches(parts, widths, 4, deployed, torch.zeros(1, *SHAPE))
    names = [n for each in found.names.values() for n in each.values()]
    assert all(len(benches) == 1 for benches in names)
    # Two blocks of a stage that are alike are of one kind before that.
    twice = dict.fromkeys(['a', 'b'], cost_model.parts['layer1.1'])
    both = layer_benches(twice, widths, 4, deployed, torch.zeros(1, *SHAPE))
    assert len(both.benches) == 3 and both.names['a'] == both.names['b']
    assert {bench.name for bench in found.benches} == {n for [n] in names}
    for bench in found.benches:
        for module, image in zip(bench.modules, bench.images):
            convs = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
            assert [conv.in_channels for conv in convs] == [image.shape[1]]
    timed = {
        bench.name: {LAYER: Curve(tuple(p.elements for p in bench.points), ())}
        for bench in found.benches
    }
    for kind, part in parts.items():
        shares = found.curves(kind, timed)
        for layer in layers_in(part):
            own = [layer.share(counts, 4) for counts in widths]
            assert shares[layer.name].elements == tuple(sorted(set(own)))
            assert own[-1] == WHOLE


class Eights:
    """A runtime that is fastest with eights; layers take what is computed."""

    backend, form, onnx, version = 'channels_last', 'torch', False, '0'
    device, dtype, slow = 'abacus', 'float32', True

    def ready(
        self, name: str, make: Callable[[], nn.Module], image: Tensor
    ) -> float:
        if isinstance(make(), Repeated):
            *_, share, copies = name.split()
            return 7.0 + int(copies[1:]) * int(share) / WHOLE
        return 2.0 if name.endswith(('steps of 4', 'steps of 16')) else 1.0

    def times(
        self, ready: Mapping[str, float], limit: float, warm: bool = True
    ) -> dict[str, float]:
        return dict(ready)


def test_a_table_has_the_best_step_and_all_layers(
    model: nn.Module, cost_model: CostModel
) -> None:
    builder = TableBuilder(model, cost_model, Eights(), networks=2)
    said: list[str] = []
    builder.report = said.append
    reports = builder.steps - 2 * builder._benches
    table = builder.build()
    assert table.conditions.round == 8
    assert len(said) == reports + 2 * builder._benches
    Latency(table).check(cost_model)
    curves = [c for each in table.curves.values() for c in each.values()]
    for curve in curves:
        shares = [share / WHOLE for share in curve.elements]
        assert curve.ms == pytest.approx(shares) and shares[-1] == 1


def test_a_network_takes_what_its_blocks_take(
    model: nn.Module, cost_model: CostModel
) -> None:
    table = table_of_formula(cost_model)
    latency = cost_model.counting(Latency(table))
    counts = dict(cost_model.supernet)
    whole = latency.total(counts)
    for unit in ('layer1.1.conv1', 'layer1.2.conv2'):
        counts[unit] = 0
    blocks = len(cost_model.parts)
    expected = [(2.0 * n) ** 1.05 + 0.5 for n in (blocks, blocks - 2)]
    assert [whole, latency.total(counts)] == pytest.approx(expected)
    # What is empty is the same network however that is said.
    counts |= {'layer1.1.conv2': 0, 'layer1.2.conv1': 0}
    assert latency.total(counts) == pytest.approx(expected[1])


def test_blocks_inside_of_blocks_have_their_layers() -> None:
    ddrnet = dict(
        type='mmseg.DDRNet',
        channels=8,
        ppm_channels=16,
        norm_cfg=dict(type='BN'),
    )
    net = MODELS.build(dict(type='Searchable', module=ddrnet))
    net.eval()
    cost_model = CostModel(net, (3, 64, 128))
    nested = [p for p in cost_model.parts.values() if len(p.searchables) > 1]
    assert nested
    table = table_of_formula(cost_model)
    Latency(table).check(cost_model)
    for part in nested:
        layers = {layer.name: layer for layer in layers_in(part)}
        assert [*table.curves[table.kinds[part.name][0]]] == [*layers]
        inner = max(part.searchables, key=len)
        counts = {
            unit: int(facts.searchable == inner) * facts.elements
            for unit, facts in part.units.items()
        }
        there = [n for n, each in layers.items() if each.share(counts, 4)]
        assert there and len(there) < len(layers)
        assert all(f'{part.name}.{name}'.startswith(inner) for name in there)


def test_an_empty_block_is_in_no_bench(model: nn.Module) -> None:
    small = deepcopy(model)
    counts = architecture_of(small) | {'layer1.1.conv1': 0}
    apply_architecture_(small, counts)
    cost_model = CostModel(small, SHAPE)
    kinds, examples = kinds_of(cost_model)
    assert kinds['layer1.1'] == [] and kinds['layer1.2']
    assert all(part.units for part, _ in examples.values())
    latency = Latency(table_of_formula(cost_model))
    latency.check(cost_model)
    blocks = len(cost_model.parts) - 1
    total = cost_model.counting(latency).total(cost_model.supernet)
    assert total == pytest.approx((2.0 * blocks) ** 1.05 + 0.5)


def test_networks_to_calibrate_with_can_be_built(
    model: nn.Module, cost_model: CostModel
) -> None:
    networks = random_networks(cost_model, 4)
    empty = [n for n in networks if n.endswith('some blocks empty')]
    assert empty and all(0 in networks[n].values() for n in empty)
    networks['nearly empty'] = nearly_empty(cost_model)
    image = torch.zeros(1, *SHAPE)
    for network in networks.values():
        small = deepcopy(model)
        apply_architecture_(small, network)
        out = small(image)[0]
        torch.testing.assert_close(deployed_(small, FORM)(image)[0], out)
    assert 0 in networks['nearly empty'].values()
    # Every block whose channels cannot all go keeps one of each unit.
    left = {name for name, n in networks['nearly empty'].items() if n}
    assert {name.rpartition('.')[0] for name in left} == {
        'layer1.0',
        'layer2.0',
    }


def test_scatter_makes_no_class_free(cost_model: CostModel) -> None:
    """Times that scatter by 3 % cannot tell classes apart that go together."""
    table = table_of_formula(cost_model)
    networks = random_networks(cost_model, 12)
    latency = cost_model.counting(Latency(table))
    times = np.array([latency.total(each) for each in networks.values()])
    blank = replace(table, calibration=unknown(cost_model))
    for seed in range(6):
        noise = np.random.default_rng(seed).standard_normal(len(times))
        found = calibrated(
            blank, cost_model, networks, (times * (1 + 0.03 * noise)).tolist()
        ).calibration
        assert {*found.factors} == {'dense', 'pointwise'}  # 1 in the table
        assert all(0.6 < each < 1.4 for each in found.factors.values())


def test_a_network_that_is_searched_as_one_has_its_layers() -> None:
    net = MODELS.build(tiny.STOCK).eval()
    cost_model = CostModel(net, SHAPE)
    (part,) = cost_model.parts.values()
    latency = Latency(table_of_formula(cost_model))
    latency.check(cost_model)
    counts = dict(cost_model.supernet)
    unit = next(iter(counts))
    before = cost_model.counting(latency).total(counts)
    counts[unit] = 1
    touched = [a for a in layers_in(part) if unit in a.units.values()]
    gone = [(WHOLE - a.share(counts, 4)) / (WHOLE - 1) for a in touched]
    saved = sum(gone) / len(layers_in(part))
    expected = (2.0 - saved) ** 1.05 + 0.5
    assert before == pytest.approx(2.0**1.05 + 0.5)
    after = cost_model.counting(latency).total(counts)
    assert after == pytest.approx(expected) and after < before


class Slow(Latency):
    """Look at every unit anew after each removal."""

    def beside(self, part: Part, unit: str) -> Collection[str]:
        return part.units


@pytest.mark.parametrize('widths', ['blocks', 'all'])
@pytest.mark.parametrize('share', [0.7, 0.3, 0.0])
def test_a_cut_looks_only_at_what_has_changed(
    widths: str, share: float
) -> None:
    """With curves that are no lines: what a unit saves depends on others."""
    net = MODELS.build(
        dict(type='Searchable', module=BOTTLENECKS, widths=widths)
    )
    net.eval()
    cost_model = CostModel(net, SHAPE)
    rng = np.random.default_rng(0)
    table = table_of_formula(cost_model)
    points = (1, *range(500, WHOLE, 500), WHOLE)
    table = replace(
        table,
        curves={
            kind: {
                layer: Curve(points, tuple(rng.random(len(points)).cumsum()))
                for layer in curves
            }
            for kind, curves in table.curves.items()
        },
    )
    torch.manual_seed(0)
    scores = {u: torch.rand(n) for u, n in cost_model.supernet.items()}
    ranking = Ranking.by_threshold(scores, 0.05)
    whole = cost_model.counting(Latency(table)).total(cost_model.supernet)
    quick, slow = (
        latency.cut(
            ranking, cost_model.counting(latency), (0.0, share * whole)
        )
        for latency in (Latency(table), Slow(table))
    )
    assert quick == slow != cost_model.supernet


class Odd(nn.Module):
    """A block that is called in two ways, and a layer of training alone.

    Args:
        functional: Whether a weight is used without its layer.
    """

    def __init__(self, functional: bool = False) -> None:
        super().__init__()
        self.functional = functional
        self.stem = Pair(3, 8)
        self.block = Pair(8, 8)
        self.auxiliary = Pair(8, 8)
        self.last = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        x = self.block(x)
        x = self.block(x, x)
        if self.functional:
            return nn.functional.conv2d(x, self.last.weight)
        if self.training:
            return self.last(x), self.last(self.auxiliary(x))
        return self.last(x)


class Pair(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, more: Tensor | float = 0.0) -> Tensor:
        return (self.norm(self.conv(x)) + more).relu()


def table_of(model: nn.Module) -> tuple[CostModel, Any]:
    """Return a model's costs, and its table with a device of formulas."""
    cost_model = CostModel(model, SHAPE)
    builder = TableBuilder(model, cost_model, Eights(), round=4, networks=2)
    return cost_model, builder.build()


def test_a_layer_is_timed_once_per_call() -> None:
    """Also if the module around it is called in ways that cannot be timed."""
    net: Any = Odd()
    searchable_(net, torch.zeros(2, *SHAPE), widths='all')
    cost_model, table = table_of(net.eval())
    (curves,) = table.curves.values()
    most = {name: curve.ms[-1] for name, curve in curves.items()}
    expected = {'stem.conv': 1, 'block.conv': 2, 'last': 1}
    assert most == pytest.approx({**expected, 'auxiliary.conv': 0})
    Latency(table).check(cost_model)


def test_a_weight_without_its_layer_is_refused() -> None:
    net: Any = Odd(functional=True)
    searchable_(net, torch.zeros(2, *SHAPE), widths='all')
    with pytest.raises(ValueError, match='last must be called as a module'):
        table_of(net.eval())


def test_transformers_in_stock_blocks_have_curves_of_their_own() -> None:
    plugged = dict(
        type='with_transformers',
        backbone=dict(BOTTLENECKS, depth=18, type='mmseg.ResNet'),
        block='BasicBlock',
        num_tokens=4,
    )
    with DefaultScope.overwrite_default_scope('mmseg'):
        net = MODELS.build(dict(type='Searchable', module=plugged))
    cost_model = CostModel(net.eval(), SHAPE)
    latency = Latency(table_of_formula(cost_model))
    latency.check(cost_model)
    total = cost_model.counting(latency).total
    whole, gone = dict(cost_model.supernet), dict(cost_model.supernet)
    tokens = [unit for unit in gone if unit.endswith('tokens')]
    assert tokens
    gone |= dict.fromkeys(tokens, 0)
    assert total(gone) < total(whole)
    kinds, examples = kinds_of(cost_model)
    for unit in tokens:
        (kind,) = kinds[unit.rpartition('.')[0]]
        part, size = examples[kind]
        points = [*points_of(part, FORM)]
        assert {point.unit for point in points} == {'tokens'}
        alone, shape = part_alone(net, part, size, points[0].counts, FORM)
        assert alone(torch.zeros(1, *shape)).isfinite().all()
