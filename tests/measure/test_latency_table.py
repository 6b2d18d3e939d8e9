"""Points, calibration and tool of latency tables."""

import os
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tiny
import torch
from command_line import call, checked
from milliseconds import table_of_formula
from tiny import SUPERNET, supernet, with_statistics
from torch import nn

from hrnas_mm.building import build_model
from hrnas_mm.deploy.parts import (
    Repeated,
    onnx_of_each,
    part_alone,
    repeated_onnx,
)
from hrnas_mm.measure import cost_model_of, stopwatch
from hrnas_mm.measure.calibration import (
    adds_up,
    calibrated,
    quality,
    random_networks,
    unknown,
)
from hrnas_mm.measure.latency_points import kinds_of, points_of
from hrnas_mm.measure.on_all_cores import on_all_cores
from hrnas_mm.modules.deployed import form_of
from hrnas_mm.modules.resizing import resize
from hrnas_mm.search import (
    CostModel,
    Latency,
    apply_architecture_,
    read_latency_table,
)

SHAPE = (3, 32, 48)


@pytest.fixture(scope='module')
def model():
    return with_statistics(supernet()).eval()


@pytest.fixture(scope='module')
def cost_model(model):
    return CostModel(model, SHAPE)


def test_equal_parts_are_of_one_kind(cost_model):
    kinds, examples = kinds_of(cost_model)
    assert set(kinds) == set(cost_model.parts)
    first = kinds['stages.0.branches.0.0']
    assert first == kinds['stages.0.fusion.fuse.0.0']
    assert first != kinds['stages.1.branches.0.0'] != kinds['fuse']
    assert {key for keys in kinds.values() for key in keys} == set(examples)


def test_points_give_the_elements_that_they_say(cost_model):
    part = cost_model.parts['fuse']
    points = list(points_of(part, 4))
    mid = SUPERNET['expand_ratio'] * 12
    by_unit = {}
    for point in points:
        by_unit.setdefault(point.unit, []).append(point.elements)
        counts = {k: n for k, n in point.counts.items() if n}
        assert point.unit in counts
        assert sum(counts.values()) == point.elements
    assert by_unit['mixconv.k3'] == [4, 8, 12, 16, 24]
    assert by_unit['mixconv.k5'][-1] == 2 * mid  # with those of 3x3
    assert by_unit['transformer.tokens'] == [1, 4]


@pytest.mark.parametrize('name', ['stages.1.branches.0.0', 'fuse'])
def test_parts_alone_are_what_they_add_in_the_network(model, cost_model, name):
    """The joining block reads its maps from one row, each at its own size."""
    part = cost_model.parts[name]
    ((size,),) = {tuple(sizes) for sizes in part.sizes.values()}
    form = form_of('onnxruntime', 'always', 4, {})
    counts = {
        'mixconv.k3': 3, 'mixconv.k5': 2, 'transformer.tokens': 2,
    }  # fmt: skip
    alone, shape = part_alone(model, part, size, counts, form)
    module = part.module
    if name == 'fuse':
        maps = [torch.randn(2, 4, 8, 12), torch.randn(2, 8, 4, 6)]
        row = torch.cat([m.flatten(1) for m in maps], 1)
        x = torch.cat([maps[0], resize(maps[1], (8, 12))], 1)
    else:
        row = x = torch.randn(2, module.in_channels, *size)
    assert shape == row.shape[1:]
    smaller = type(module)(
        module.in_channels,
        module.out_channels,
        kernel_sizes=(3, 5),
        expand_ratio=2,
        num_tokens=4,
        transformer=dict(token_size=4, head_dims=8, ffn_dims=16),
    )
    smaller.load_state_dict(module.state_dict())
    apply_architecture_(smaller, counts)
    with torch.no_grad():
        smaller.eval()
        constant = smaller(x) - smaller.shortcut(x) - alone(row)
    # What remains goes into biases: one number per channel.
    flat = constant.transpose(0, 1).flatten(1)
    assert (flat.amax(1) - flat.amin(1)).max() < 1e-4 * x.abs().max()


@pytest.mark.parametrize('chained', [True, False])
def test_copies_in_onnx_are_those_in_torch(chained):
    onnxruntime = pytest.importorskip('onnxruntime')
    modules = [
        nn.Sequential(nn.Conv2d(4, 4, k, padding=k // 2), nn.ReLU())
        for k in (1, 3)
    ]
    image = torch.randn(1, 4, 5, 6)
    for module, onnx in zip(modules, onnx_of_each(modules, image)):
        content = repeated_onnx(onnx, 3, chained).SerializeToString()
        session = onnxruntime.InferenceSession(content)
        inputs = [value.name for value in session.get_inputs()]
        assert len(inputs) == (1 if chained else 3)
        (found,) = session.run(None, dict.fromkeys(inputs, image.numpy()))
        with torch.no_grad():
            expected = Repeated(module, 3, chained)(image)
        torch.testing.assert_close(torch.from_numpy(found), expected)


def test_calibration_finds_the_line(cost_model):
    """The times follow one, except for a network that was disturbed."""
    table = table_of_formula(cost_model)
    networks = random_networks(cost_model, 20)
    latency = cost_model.counting(Latency(table))
    times = [latency.total(network) for network in networks]
    times[7] *= 1.4
    found = calibrated(
        replace(table, calibration=unknown(cost_model)),
        cost_model,
        networks,
        times,
    ).calibration
    expected = table.calibration
    assert found.offset == pytest.approx(expected.offset, rel=0.05)
    assert found.factors == pytest.approx(expected.factors, rel=0.05)
    assert found.median_error < 0.01 < 0.2 < found.worst_error
    assert not adds_up(found)
    assert adds_up(quality(times, times))


def test_random_networks_are_of_all_sizes(cost_model):
    networks = random_networks(cost_model, 6)
    macs = [cost_model.total(network) for network in networks]
    assert max(macs) > 2 * min(macs)
    tokens = [u for u in cost_model.supernet if u.endswith('tokens')]
    without = [not any(n[u] for u in tokens) for n in networks]
    assert any(without) and not all(without)
    assert networks == random_networks(cost_model, 6)


def test_turns_are_taken_until_times_settle(monkeypatch):
    clock = iter(np.cumsum(np.ones(10**5)))
    monkeypatch.setattr(stopwatch.time, 'perf_counter', lambda: next(clock))
    calls = []
    device = torch.device('cpu')
    stopwatch.settled({'a': lambda: calls.append(1)}, device, limit=1e9)
    assert len(calls) == 2 + 8  # settled after one round of turns
    rng = np.random.default_rng(0)
    clock = iter(np.cumsum(rng.uniform(0.1, 2, 10**5)))
    calls.clear()
    found = stopwatch.settled(
        {'a': lambda: calls.append(1)}, device, limit=1e9, spread=0.05
    )
    assert len(calls) > 2 + 8
    assert found['a'] == pytest.approx(1.05, rel=0.2)


def test_on_all_cores_keeps_the_order():
    calls = [partial(pow, 2, n) for n in range(5)]
    assert list(on_all_cores(calls)) == [1, 2, 4, 8, 16]
    (pid,) = set(on_all_cores([os.getpid]))
    assert pid == os.getpid()  # nothing to share


def test_tool(tmp_path):
    """A table of a whole model, really timed, in torch."""
    cfg = tiny.config(tmp_path, target=0.5)
    cfg.custom_imports = dict(imports=['tiny'])
    cfg.dump(str(tmp_path / 'config.py'))
    out = tmp_path / 'table.json'
    args = (
        'tools/measure_latency.py', tmp_path / 'config.py', out,
        '--backend', 'channels_last', '--networks', 2, '--check', 1,
        '--seconds', 0,
    )  # fmt: skip
    printed = checked(*args)
    for words in (' ms + ', ' x MixConv', 'Kendall tau', 'Other networks'):
        assert words in printed
    table = read_latency_table(str(out))
    latency = Latency(table)
    cost_model = cost_model_of(build_model(cfg), (3, 32, 32))
    latency.check(cost_model)
    times = cost_model.counting(latency)
    assert 0 < times.total({}) < times.total(cost_model.supernet)
    conditions = table.conditions
    assert (conditions.backend, conditions.round) == ('channels_last', 8)
    again = call(*args)
    assert again.code == 2 and '--force overwrites it' in again.err
