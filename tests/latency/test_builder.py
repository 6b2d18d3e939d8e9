"""Points, calibration and tool of latency tables."""

import os
import signal
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from command_line import call, checked
from milliseconds import ms_of, table_of_formula
from mmengine.config import Config
from tiny import SUPERNET, supernet, with_statistics
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hrnas_mm.building import build_model
from hrnas_mm.deploy import cost_model_of
from hrnas_mm.deploy.onnx import INPUT
from hrnas_mm.latency import Latency, bench, networks, read_latency_table
from hrnas_mm.latency.builder import TableBuilder
from hrnas_mm.latency.calibration import (
    adds_up,
    calibrated,
    nearly_empty,
    quality,
    random_networks,
    unknown,
    worst,
)
from hrnas_mm.latency.on_all_cores import on_all_cores
from hrnas_mm.latency.points import kinds_of, points_of
from hrnas_mm.latency.repeated import (
    Repeated,
    onnx_of_each,
    part_alone,
    repeated_onnx,
)
from hrnas_mm.latency.steps import best_step, mean_ms
from hrnas_mm.latency.table import Curve
from hrnas_mm.models import HRNASSupernet
from hrnas_mm.modules import Deployable, SearchingBlock
from hrnas_mm.modules.deployed import Form, form_of
from hrnas_mm.modules.primitives.resizing import resize
from hrnas_mm.runtimes import stopwatch
from hrnas_mm.search import (
    Axis,
    CostModel,
    SearchUnit,
    Size,
    apply_architecture_,
)

SHAPE = (3, 32, 48)
FORM = form_of('onnxruntime', 'always', 4, {})


@pytest.fixture(scope='module')
def model() -> HRNASSupernet:
    return with_statistics(supernet()).eval()


@pytest.fixture(scope='module')
def cost_model(model: HRNASSupernet) -> CostModel:
    return CostModel(model, SHAPE)


def test_equal_parts_are_of_one_kind(cost_model: CostModel) -> None:
    kinds, examples = kinds_of(cost_model)
    assert set(kinds) == set(cost_model.parts)
    first = kinds['stages.0.branches.0.0']
    assert first == kinds['stages.0.fusion.fuse.0.0']
    assert first != kinds['stages.1.branches.0.0'] != kinds['fuse']
    assert {key for keys in kinds.values() for key in keys} == set(examples)


def test_points_give_the_elements_that_they_say(cost_model: CostModel) -> None:
    part = cost_model.parts['fuse']
    points = list(points_of(part, FORM))
    mid = SUPERNET['expand_ratio'] * 12
    by_unit: dict[str, list[int]] = {}
    for point in points:
        by_unit.setdefault(point.unit, []).append(point.elements)
        counts = {k: n for k, n in point.counts.items() if n}
        assert point.unit in counts
        beside = points[0].elements * point.with_first
        assert sum(counts.values()) == point.elements + beside
        assert point.with_first == (point.unit == 'transformer.tokens')
    assert by_unit['mixconv.k3'] == [4, 8, 12, 16, 24]
    assert by_unit['mixconv.k5'][-1] == 2 * mid  # with those of 3x3
    assert by_unit['transformer.tokens'] == [1, 4]


@pytest.mark.parametrize('name', ['stages.1.branches.0.0', 'fuse'])
def test_parts_alone_are_what_they_add_in_the_network(
    model: HRNASSupernet, cost_model: CostModel, name: str
) -> None:
    """The joining block reads its maps from one row, each at its own size."""
    part = cost_model.parts[name]
    ((size,),) = {tuple(sizes) for sizes in part.sizes.values()}
    form = form_of('onnxruntime', 'always', 4, {})
    counts = {
        'mixconv.k3': 3, 'mixconv.k5': 2, 'transformer.tokens': 2,
    }  # fmt: skip
    alone, shape = part_alone(model, part, size, counts, form)
    module: Any = part.module
    if name == 'fuse':
        maps = [torch.randn(2, 4, 8, 12), torch.randn(2, 8, 4, 6)]
        row = torch.cat([m.flatten(1) for m in maps], 1)
        x = torch.cat([maps[0], resize(maps[1], (8, 12))], 1)
    else:
        row = x = torch.randn(2, module.in_channels, *size)
    assert shape == row.shape[1:]
    smaller = SearchingBlock(
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


def test_parts_alone_are_those_of_the_given_model(
    model: HRNASSupernet, cost_model: CostModel
) -> None:
    """Not those of the model that trains, which may be on a GPU."""
    part = cost_model.parts['stages.1.branches.0.0']
    form = form_of('onnxruntime', 'always', 4, {})
    given = deepcopy(model).double()
    counts = {'mixconv.k3': 3, 'mixconv.k5': 2, 'transformer.tokens': 2}
    alone, _ = part_alone(given, part, (8, 12), counts, form)
    assert {p.dtype for p in alone.parameters()} == {torch.double}


class Whole(nn.Module, Deployable):
    """A block that is deployed by itself, and not with its neighbours."""

    unit_names = ('channels',)
    shared_params = 0

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 1, bias=False)
        self.norm = nn.BatchNorm2d(6)

    def search_units(self) -> dict[str, SearchUnit]:
        tensors = ('weight', 'bias', 'running_mean', 'running_var')
        axes = [Axis(self.norm, name, 0) for name in tensors]
        axes.append(Axis(self.conv, 'weight', 0))
        unit = SearchUnit(self.norm.weight, tuple(axes), kind='channels')
        return dict(channels=unit)

    def macs(self, counts: Mapping[str, int], size: Size) -> int:
        return 4 * counts['channels'] * size[0] * size[1]

    def drop_empty_(self) -> None:
        """Nothing: it keeps an element here."""

    def deployed(self, form: Form) -> nn.Module:
        return fuse_conv_bn_eval(self.conv, self.norm)


def test_a_block_that_declares_deployed_alone_is_timed_as_that() -> None:
    form = FORM
    part: Any = SimpleNamespace(name='0')
    model = nn.Sequential(Whole())
    alone, shape = part_alone(model, part, (8, 8), dict(channels=5), form)
    assert type(alone) is nn.Conv2d and shape == (4, 8, 8)
    assert alone.out_channels == 5
    counts = Whole().deployed_counts(dict(channels=3, tokens=0), (8, 8), form)
    assert counts == dict(channels=3)


@pytest.mark.parametrize('chained', [True, False])
def test_copies_in_onnx_are_those_in_torch(chained: bool) -> None:
    onnxruntime = pytest.importorskip('onnxruntime')
    modules = [
        nn.Sequential(nn.Conv2d(n, n, k, padding=k // 2), nn.ReLU())
        for n, k in ((4, 1), (6, 3))
    ]
    images = [torch.randn(1, n, 5, 6) for n in (4, 6)]
    models = onnx_of_each(modules, images)
    for module, onnx, image in zip(modules, models, images):
        repeated = repeated_onnx(onnx, 3, chained)
        session = onnxruntime.InferenceSession(repeated.SerializeToString())
        (found,) = session.run(None, {INPUT: image.numpy()})
        with torch.no_grad():
            expected = Repeated(module, 3, chained)(image)
        # The weights of each copy differ by a fraction of a thousandth.
        found = torch.from_numpy(found)
        torch.testing.assert_close(found, expected, rtol=3e-3, atol=3e-3)
        weights = [
            w.raw_data for w in repeated.graph.initializer if w.dims[1:]
        ]
        assert len(set(weights)) == len(weights)


class FormulaTimer:
    """Knows what a copy and a network take; each call has a fixed time."""

    backend, form, onnx, version = 'channels_last', 'torch', False, '0'
    device, dtype, slow = 'abacus', 'float32', False

    def __init__(self, cost_model: CostModel) -> None:
        truth = cost_model.counting(Latency(table_of_formula(cost_model)))
        known = dict(
            random_networks(cost_model, 12),
            supernet=cost_model.supernet,
        )
        known['nearly empty'] = nearly_empty(cost_model)
        self.known = {name: truth.total(n) for name, n in known.items()}
        self.known['reference'] = 1.5

    def ready(
        self, name: str, make: Callable[[], nn.Module], image: Tensor
    ) -> str:
        if isinstance(make(), Repeated):
            *_, unit, elements, copies = name.split()
            ms = ms_of(unit, int(elements))
            if unit.endswith('tokens'):  # they are beside some channels
                ms += ms_of('mixconv.k3', 4)
            self.known[name] = 7.0 + int(copies[1:]) * ms
        return name

    def times(
        self, ready: Mapping[str, str], limit: float, warm: bool = True
    ) -> dict[str, float]:
        assert warm == ('reference' in ready.values())
        return {name: self.known[each] for name, each in ready.items()}


def test_a_table_is_what_was_timed(
    model: HRNASSupernet, cost_model: CostModel
) -> None:
    builder = TableBuilder(model, cost_model, FormulaTimer(cost_model), 1, 4)
    said: list[Any] = []
    builder.report = said.append
    table, expected = builder.build(), table_of_formula(cost_model)
    assert len(said) == builder.steps
    assert (table.kinds, table.reference) == (expected.kinds, 1.5)
    for kind, curves in expected.curves.items():
        for unit, curve in curves.items():
            assert table.curves[kind][unit].elements == curve.elements
            assert table.curves[kind][unit].ms == pytest.approx(curve.ms)
    found = cost_model.counting(Latency(table))
    for network in random_networks(cost_model, 5, seed=100).values():
        ms = cost_model.counting(Latency(expected)).total(network)
        assert found.total(network) == pytest.approx(ms, rel=1e-3)


def test_few_points_are_some_of_many(cost_model: CostModel) -> None:
    for part, _ in kinds_of(cost_model)[1].values():
        many, few = (list(points_of(part, FORM, few)) for few in (False, True))
        assert len(few) < len(many) and all(point in many for point in few)
        for points in (many, few):
            most = {p.unit: p.elements for p in points}
            assert most == {p.unit: p.elements for p in many}


def test_the_largest_step_that_costs_nothing() -> None:
    """A runtime that computes whole eights: larger steps cost more."""

    def curve(step: int) -> Curve:
        counts = range(step, 33, step)
        return Curve(tuple(counts), tuple(float(-(-n // 8)) for n in counts))

    def best(curves: Mapping[int, Curve]) -> int:
        return best_step(mean_ms(curves))

    assert best({step: curve(step) for step in (4, 8, 16)}) == 8
    flat = Curve((16, 32), (4.0, 4.1))
    assert best({8: curve(8), 16: flat}) == 8
    assert best({4: curve(4), 16: replace(flat, ms=(1.0, 2.0))}) == 16


def test_calibration_finds_the_line(cost_model: CostModel) -> None:
    """The times follow one, except for a network that was disturbed."""
    table = table_of_formula(cost_model)
    networks = random_networks(cost_model, 20)
    latency = cost_model.counting(Latency(table))
    times = [latency.total(network) for network in networks.values()]
    times[7] *= 1.4
    found = calibrated(
        replace(table, calibration=unknown(cost_model)),
        cost_model,
        networks,
        times,
    ).calibration
    expected = table.calibration
    assert found.offset == pytest.approx(expected.offset, rel=0.1)
    assert found.factors == pytest.approx(expected.factors, rel=0.1)
    assert found.exponent == pytest.approx(expected.exponent, rel=0.02)
    assert found.median_error < 0.01 < 0.2 < found.worst_error
    assert not adds_up(found)
    assert "'random 7 of 20'" in worst(found)
    assert adds_up(quality(networks, times, times))


def test_random_networks_are_of_all_sizes(cost_model: CostModel) -> None:
    networks = random_networks(cost_model, 6)
    macs = [cost_model.total(network) for network in networks.values()]
    assert max(macs) > 2 * min(macs)
    tokens = [u for u in cost_model.supernet if u.endswith('tokens')]
    without = [not any(n[u] for u in tokens) for n in networks.values()]
    assert any(without) and not all(without)
    assert networks == random_networks(cost_model, 6)


def test_turns_are_taken_until_times_settle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(np.cumsum(np.ones(10**5)))
    monkeypatch.setattr(stopwatch.time, 'perf_counter', lambda: next(clock))
    calls = []
    device = torch.device('cpu')
    stopwatch.settled({'a': lambda: calls.append(1)}, device, limit=1e9)
    assert len(calls) == 2 * (2 + 8)  # settled after one round of turns
    rng = np.random.default_rng(0)
    clock = iter(np.cumsum(rng.uniform(0.1, 2, 10**5)))
    calls.clear()
    found = stopwatch.settled(
        {'a': lambda: calls.append(1)}, device, limit=1e9, spread=0.05
    )
    assert len(calls) > 2 * (2 + 8)
    assert found['a'] == pytest.approx(1.05, rel=0.2)
    calls.clear()
    stopwatch.settled({'a': lambda: calls.append(1)}, device, limit=1.0)
    assert len(calls) == 2 * (1 + 3)  # slow calls take few turns


def test_on_all_cores_keeps_the_order() -> None:
    calls = [partial(pow, 2, n) for n in range(5)]
    assert list(on_all_cores(calls)) == [1, 2, 4, 8, 16]
    (pid,) = set(on_all_cores([os.getpid]))
    assert pid == os.getpid()  # nothing to share


def test_other_processes_have_no_gpu_and_may_be_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {0, 1})
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    calls = [lambda: torch.cuda.is_available()] * 2
    assert list(on_all_cores(calls)) == [False, False]
    assert torch.cuda.is_available()
    with pytest.raises(RuntimeError, match='was killed'):
        list(on_all_cores([kill_itself, os.getpid]))


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def searched(tmp_path: Path) -> Config:
    cfg = tiny.config(tmp_path, target=0.5)
    cfg.custom_imports = dict(imports=['tiny'])
    cfg.dump(str(tmp_path / 'config.py'))
    return cfg


def size_of(module: nn.Module, image: Any = None) -> bytes:
    """As many bytes as parameters, in place of an ONNX file."""
    return bytes(1 + sum(p.numel() for p in module.parameters()))


def test_tool_with_times_from_elsewhere(
    searched: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files are there before a time is missed."""
    monkeypatch.setattr(networks, 'onnx_bytes', size_of)
    monkeypatch.setattr(
        bench, 'onnx_of_each', lambda modules, image: [*map(size_of, modules)]
    )
    monkeypatch.setattr(
        bench, '_repeated', lambda onnx, model, copies, chained: copies * model
    )
    out, files = tmp_path / 'table.json', tmp_path / 'files'
    args = (
        'tools/measure_latency.py', tmp_path / 'config.py', out,
        '--backend', 'command', '--files', files, '--device', 'abacus',
        '--round', 8, '--networks', 2, '--check', 1,
    )  # fmt: skip
    missing = call(*args)
    assert missing.code == 2 and 'are missing, such as' in missing.err
    with open(files / 'times.csv', 'w') as rows:
        for path in files.glob('*.onnx'):
            rows.write(f'{path.name},{path.stat().st_size / 1e4}\n')
    assert 'Other networks' in checked(*args)
    table = read_latency_table(str(out))
    assert (table.conditions.device, table.conditions.round) == ('abacus', 8)
    other = call(*args, '--force', '--batch', 2)
    assert other.code == 2 and 'with another batch' in other.err


def test_tool(searched: Config, tmp_path: Path) -> None:
    """A table of a whole model, really timed, in torch."""
    cfg = searched
    out = tmp_path / 'table.json'
    args = (
        'tools/measure_latency.py', tmp_path / 'config.py', out,
        '--backend', 'channels_last', '--networks', 2, '--check', 1,
        '--seconds', 0,
    )  # fmt: skip
    printed = checked(*args)
    for words in (') ** ', ' MixConv', 'Kendall tau', 'Other networks'):
        assert words in printed
    table = read_latency_table(str(out))
    latency = Latency(table)
    cost_model = cost_model_of(build_model(cfg), (3, 32, 32))
    latency.check(cost_model)
    expected = table_of_formula(cost_model, table.conditions.round)
    assert table.kinds == expected.kinds
    for kind, curves in expected.curves.items():
        timed = {u: curve.elements for u, curve in table.curves[kind].items()}
        assert timed == {u: curve.elements for u, curve in curves.items()}
    conditions = table.conditions
    assert conditions.backend == 'channels_last'
    assert conditions.round in (4, 8, 16)
    again = call(*args)
    assert again.code == 2 and '--force overwrites it' in again.err
