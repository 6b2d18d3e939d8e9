"""Tables of milliseconds for the blocks of stock networks."""

from copy import deepcopy
from typing import Any

import pytest
import tiny
import torch
from milliseconds import table_of_formula
from mmengine.registry import MODELS
from torch import nn

from hrnas_mm.deploy.deployable import deployed_
from hrnas_mm.latency import Latency, TableBuilder
from hrnas_mm.latency.calibration import nearly_empty, random_networks
from hrnas_mm.latency.points import kinds_of, points_of
from hrnas_mm.latency.repeated import part_alone
from hrnas_mm.latency.shares import SHARE, WHOLE, share_of
from hrnas_mm.latency.steps import step_points, stepped_part
from hrnas_mm.modules.deployed import form_of
from hrnas_mm.runtimes import RUNTIMES, LocalTimer
from hrnas_mm.search import (
    CostModel,
    apply_architecture_,
    architecture_of,
    trace,
)

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
    """Against torch's counter of what is deployed, without the shortcut."""
    part = cost_model.parts['layer1.0']
    (size,) = part.sizes['layer1.0']
    shortcut = 8 * 48 * size[0] * size[1]

    def macs(counts: dict[str, int]) -> int:
        alone, shape = part_alone(model, part, size, counts, FORM)
        return trace(alone, shape).macs[''] - shortcut

    whole = macs(dict(conv1=12, conv2=12))
    for counts in (dict(conv1=12, conv2=12), dict(conv1=3, conv2=10)):
        named = {f'layer1.0.{unit}': n for unit, n in counts.items()}
        share = share_of(part, named, 0, FORM)
        assert share == round(WHOLE * macs(counts) / whole)
    empty = {'layer1.1.conv1': 0, 'layer1.1.conv2': 5}
    assert share_of(cost_model.parts['layer1.1'], empty, 0, FORM) == 0


def test_points_rise_to_the_whole_block(cost_model: CostModel) -> None:
    kinds, examples = kinds_of(cost_model)
    assert kinds['layer1.1'] == kinds['layer1.2'] != kinds['layer1.0']
    for part, _ in examples.values():
        points = list(points_of(part, FORM))
        shares = [point.elements for point in points]
        assert shares == sorted(set(shares)) and shares[-1] == WHOLE
        for point in points:
            named = {f'{part.name}.{u}': n for u, n in point.counts.items()}
            assert point.unit == SHARE
            assert point.elements == share_of(part, named, 0, FORM)
            assert all(n % 4 == 0 or n < 4 for n in point.counts.values())


def test_steps_are_tried_where_a_block_can_be_repeated(
    model: nn.Module, cost_model: CostModel
) -> None:
    example = stepped_part(kinds_of(cost_model)[1], FORM)
    assert example is not None
    part, size = example
    assert part.name == 'layer1.1'
    for point in step_points(part, FORM):
        alone, shape = part_alone(model, part, size, point.counts, FORM)
        image = torch.zeros(1, *shape)
        assert alone(image).shape == image.shape
        assert point.counts == dict(conv1=point.elements, conv2=point.elements)


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


def test_blocks_inside_of_blocks_share_a_curve() -> None:
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
        assert [*table.curves[table.kinds[part.name][0]]] == [SHARE]
        counts = dict.fromkeys(part.units, 0)
        assert share_of(part, counts, 0, FORM) == 0
        inner = max(part.searchables, key=len)
        some = {u: f.elements for u, f in part.units.items()}
        some |= {u: 1 for u, f in part.units.items() if f.searchable == inner}
        assert 0 < share_of(part, some, 0, FORM) < WHOLE


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


def test_a_network_that_is_searched_as_one_is_refused() -> None:
    net = MODELS.build(tiny.STOCK).eval()
    timer = LocalTimer(RUNTIMES['channels_last'], 'cpu')
    with pytest.raises(ValueError, match='has times of blocks'):
        TableBuilder(net, CostModel(net, SHAPE), timer)
