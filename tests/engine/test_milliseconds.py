"""A search to a number of milliseconds, on real Runners."""

import copy
import itertools
import json
import os
import os.path as osp
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from killing import broken_off_and_resumed, everything, told
from milliseconds import table_of_formula
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from hrnas_mm.building import build_model
from hrnas_mm.deploy import cost_model_of
from hrnas_mm.engine import latency as engine_latency
from hrnas_mm.engine import results
from hrnas_mm.latency import Latency, LatencyTable, TableBuilder
from hrnas_mm.latency.table import write_latency_table
from hrnas_mm.report import plot_pareto, read_record
from hrnas_mm.report.record import Milestone, Shrink
from hrnas_mm.report.tables import result_tables
from hrnas_mm.runners import bare_model, evaluated_model
from hrnas_mm.runtimes.devices import processor
from hrnas_mm.search import architecture_of
from hrnas_mm.search.importance import TaylorImportance

SHAPE = (3, 32, 32)


def config(work_dir: Path | str, **hook: Any) -> Config:
    hook = dict(dict(rho=None, interval=3, begin=3, end=15), **hook)
    cfg = tiny.config(work_dir, 18, ema=dict(momentum=0.3), **hook)
    cfg.log_level = 'INFO'
    return cfg


def run(cfg: Config) -> Runner:
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


@pytest.fixture(scope='module')
def table() -> LatencyTable:
    cfg = config('nowhere', target=0.5)
    return table_of_formula(cost_model_of(build_model(cfg), SHAPE), round=2)


@pytest.fixture
def path(table: LatencyTable, tmp_path: Path) -> str:
    file = tmp_path / 'table.json'
    file.write_text(json.dumps(table.as_json()))
    return str(file)


def slow_down(content: dict[str, Any], ratio: float) -> None:
    factors = content['calibration']['factors']
    for name in factors:
        factors[name] *= ratio


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """Says that every network takes 3 ms."""
    timed = []

    def measured_time(
        model: nn.Module, latency: Latency
    ) -> engine_latency.MeasuredTime:
        timed.append(model)
        return engine_latency.MeasuredTime(3.0, 1.25)

    monkeypatch.setattr(results, 'measured_time', measured_time)
    return timed


@pytest.mark.parametrize('target', ['3.5ms', dict(latency=0.2)])
def test_ends_at_the_target(
    path: str,
    table: LatencyTable,
    tmp_path: Path,
    stopwatch: list[nn.Module],
    target: str | dict[str, Any],
    capfd: pytest.CaptureFixture[str],
) -> None:
    cfg = config(
        tmp_path / 'run', target=target, latency=path, milestones=['4ms']
    )
    runner = run(cfg)
    search = tiny.search_of(runner)
    architecture = architecture_of(evaluated_model(runner))
    assert search.latency is not None
    whole = search.cost_model.counting(search.latency)
    aimed = target if isinstance(target, str) else ''
    amount = float(aimed[:-2]) if aimed else 0.2 * whole.total(whole.supernet)
    predicted = whole.total(architecture)
    assert 0.97 * amount <= predicted <= amount
    assert len(stopwatch) == 2  # the milestone, and the end
    text = capfd.readouterr().err + capfd.readouterr().out
    text += ''.join(p.read_text() for p in (tmp_path / 'run').rglob('*.log'))
    assert f'{predicted:.3g} ms predicted, 3 ms measured' in text
    assert 'deployed with export_onnx --round 2' in text
    record = json.loads((tmp_path / 'run/search.json').read_text())
    assert record['latency']['measured'] == 3.0
    assert record['latency']['predicted'] == pytest.approx(predicted)
    assert record['target'] == dict(cost='latency', amount=amount)
    (milestone,) = record['milestones']
    assert 0.97 * 4 <= milestone['costs']['latency'] <= 4
    assert milestone['latency']['measured'] == 3.0
    assert (tmp_path / 'run/milestones/4ms/model.pth').is_file()
    record = read_record(str(tmp_path / 'run'))
    titles = {table.title: table for table in result_tables(record)}
    assert 'ms as deployed, measured' in titles['Milestones'].columns
    rows = titles[f'At {SHAPE}'].rows
    assert ('ms as deployed, measured', '-', '3') in rows
    (axes,) = plot_pareto({'run': record}, cost='latency').axes
    lines = [np.asarray(line.get_xdata())[-1] for line in axes.lines]
    assert lines.count(3.0) == 2  # measured, of both networks


def slower_file(path: str, table: LatencyTable) -> None:
    content = copy.deepcopy(table.as_json())
    slow_down(content, 1.5)
    with open(path, 'w') as file:
        json.dump(content, file)


@pytest.mark.parametrize(
    'change', [slower_file, lambda path, table: os.remove(path)]
)
def test_a_resumed_search_has_the_table_of_its_checkpoint(
    path: str,
    table: LatencyTable,
    tmp_path: Path,
    stopwatch: list[nn.Module],
    change: Callable[[str, LatencyTable], Any],
) -> None:
    """Whatever has become of the file since: changed, or gone."""
    whole = run(config(tmp_path / 'whole', target='3.5ms', latency=path))
    cfg = config(tmp_path / 'broken', target='3.5ms', latency=path)

    def change_then_run(cfg: Config) -> Runner:
        if cfg.get('resume'):
            change(path, table)
        return run(cfg)

    resumed = broken_off_and_resumed(cfg, change_then_run, at=11)
    torch.testing.assert_close(
        everything(resumed), everything(whole), rtol=0, atol=0
    )
    assert told(resumed) == told(whole)
    logs = (p.read_text() for p in (tmp_path / 'broken').rglob('*.log'))
    assert ('is another table now' in '\n'.join(logs)) is osp.exists(path)


def test_another_table_on_resume_is_a_new_plan(
    path: str, table: LatencyTable, tmp_path: Path, stopwatch: list[nn.Module]
) -> None:
    cfg = config(
        tmp_path / 'run', target='3.5ms', latency=path, milestones=['15ms']
    )
    cfg.train_cfg.val_interval = 9
    content = copy.deepcopy(table.as_json())
    slow_down(content, 1.2)
    slower = tmp_path / 'slower.json'
    slower.write_text(json.dumps(content))

    def with_another(cfg: Config) -> Runner:
        if cfg.get('resume'):
            cfg.custom_hooks[0].latency = str(slower)
        return run(cfg)

    runner = broken_off_and_resumed(cfg, with_another, at=11)
    search = tiny.search_of(runner)
    factors = search.latency.table.calibration.factors
    assert factors['MixConv'] == pytest.approx(1.5)
    spent = search.budget.spent(architecture_of(bare_model(runner)))
    assert 0.97 * 3.5 <= spent <= 3.5
    history = search.history
    assert history.milestones[0].iter < 11 > history.evaluations[0].iter
    costs = []
    networks: list[Shrink | Milestone] = [
        *history.shrinks,
        *history.milestones,
    ]
    for network in networks:
        counts = dict(zip(search.cost_model.supernet, network.counts))
        costs.append(search.totals(counts))
        assert network.costs == costs[-1]
    assert all(each.costs in costs for each in history.evaluations)


def test_measures_before_the_first_iteration_and_keeps_that(
    table: LatencyTable,
    tmp_path: Path,
    stopwatch: list[nn.Module],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The generators do not notice."""
    measured = []

    def build(self: TableBuilder) -> LatencyTable:
        measured.append(self.conditions())
        torch.randn(100)
        version = measured[-1].version
        conditions = replace(table.conditions, version=version)
        return replace(table, conditions=conditions)

    monkeypatch.setattr(engine_latency.TableBuilder, 'build', build)
    option = dict(backend='onnxruntime', threads=1)
    cfg = config(tmp_path / 'run', target='3.5ms', latency=option)
    first = run(cfg)
    assert len(measured) == 1 and measured[0].backend == 'onnxruntime'
    assert json.loads((tmp_path / 'run/latency.json').read_text())
    cfg.overwrite = True
    again = run(copy.deepcopy(cfg))  # finds the file
    assert len(measured) == 1
    torch.testing.assert_close(
        everything(again), everything(first), rtol=0, atol=0
    )
    path = tmp_path / 'run/latency.json'
    kept = json.loads(path.read_text())
    for change in (
        dict(layers={'of another supernet': 1}),
        dict(conditions={**kept['conditions'], 'version': '0.1'}),
    ):
        path.write_text(json.dumps({**kept, **change}))
        cost_model = tiny.search_of(again).cost_model
        engine_latency.latency_of(option, again, cost_model)
        assert json.loads(path.read_text()) == kept
    assert len(measured) == 3


def test_another_device_is_not_measured_on(
    table: LatencyTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search for a phone ends on the machine that it ran on."""
    path = str(tmp_path / 'phone.json')
    elsewhere = replace(table.conditions, device='a phone')
    write_latency_table(replace(table, conditions=elsewhere), path)
    monkeypatch.setattr(results, 'measured_time', None)
    run(config(tmp_path / 'run', target='3.5ms', latency=path))
    record = json.loads((tmp_path / 'run/search.json').read_text())
    assert record['latency']['measured'] is None
    assert record['conditions']['device']
    text = ''.join(p.read_text() for p in (tmp_path / 'run').rglob('*.log'))
    expected = f'not measured: this is {processor()}, the table is of a phone'
    assert expected in text


def test_a_run_whose_network_cannot_be_timed_is_complete(
    path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail(model: nn.Module, latency: Latency) -> None:
        raise RuntimeError('no compiler')

    monkeypatch.setattr(results, 'measured_time', fail)
    run(config(tmp_path / 'run', target='3.5ms', latency=path))
    said = ''.join(capfd.readouterr())
    assert 'not measured: RuntimeError: no compiler' in said
    record = json.loads((tmp_path / 'run/search.json').read_text())
    assert record['latency']['measured'] is None
    assert record['conditions']['device']
    assert record['stages']


def test_measures_the_network_as_deployed(
    table: LatencyTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Really, with onnxruntime; a second passes between looks at the clock."""
    pytest.importorskip('onnxruntime')
    clock = itertools.count()
    monkeypatch.setattr(time, 'perf_counter', lambda: next(clock))
    model = build_model(config('nowhere', target=0.5))
    state = torch.get_rng_state()
    found = engine_latency.measured_time(model, Latency(table))
    assert found == (1000.0, 1000.0 / table.reference)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    'hook, words',
    [
        (dict(target='3ms'), 'needs a table'),
        (dict(target='3ms', latency='no.json'), 'no.json does not exist'),
        (dict(target='3ms', latency=3), 'latency must be the file'),
        (dict(target='3ms', latency=dict(threads=1)), 'latency must be the'),
        (
            dict(target='3ms', latency=dict(backend='abacus')),
            'latency.backend must be one of',
        ),
        (
            dict(
                target='3ms',
                latency=dict(backend='onnxruntime', dtype='float16'),
            ),
            'latency.dtype must be float32',
        ),
        (
            dict(target='3ms', latency=dict(backend='onnxruntime', threads=0)),
            'latency.threads must be a whole number from 1 to 4096, got 0',
        ),
        (
            dict(target='3ms', latency=dict(backend='openvino', round='x')),
            "latency.round must be a whole number from 1 to 4096, got 'x'",
        ),
        (dict(target='0.1ms', latency='PATH'), 'must be at least 0.733'),
        (dict(target='99ms', latency='PATH'), 'below .* .the supernet.'),
        (
            dict(target='3ms', latency='PATH', input_shape=(64, 64)),
            'must be a table for input shape .3, 64, 64.',
        ),
        (dict(target=0.5, cost='latency'), 'cost must be'),
        (dict(target=0.5, importance='beta'), 'importance must be'),
        (dict(rho=1.0, importance='taylor'), 'must not be given without a'),
    ],
)
def test_clear_errors_before_the_first_iteration(
    hook: dict[str, Any], words: str, path: str, tmp_path: Path
) -> None:
    hook = {k: path if v == 'PATH' else v for k, v in hook.items()}
    with pytest.raises(ValueError, match=words) as error:
        run(config(tmp_path / 'run', **hook))
    assert '\n' not in str(error.value)


def test_macs_are_cut_as_before_beside_a_table(
    path: str, tmp_path: Path, stopwatch: list[nn.Module]
) -> None:
    """A table only adds what is reported."""
    target = dict(macs=0.5)
    without = run(config(tmp_path / 'a', target=target))
    beside = run(config(tmp_path / 'b', target=target, latency=path))
    torch.testing.assert_close(
        everything(beside), everything(without), rtol=0, atol=0
    )
    assert 'latency' in tiny.history_of(beside)[-1]


def scaled(scale: float) -> dict[str, Any]:
    return dict(
        type='AmpOptimWrapper',
        dtype='bfloat16',
        loss_scale=dict(init_scale=scale),
    )


ACCUMULATED = dict(accumulative_counts=2)


@pytest.mark.parametrize(
    ('before', 'after', 'warmup', 'steps'),
    [
        ({}, dict(clip_grad=dict(max_norm=1e-3)), 0, 6),
        (scaled(1.0), scaled(128.0), 0, 6),
        (ACCUMULATED, ACCUMULATED, 6, 3),
    ],
    ids=['clipped', 'scaled', 'accumulated'],
)
def test_importance_is_of_the_gradients_as_they_are(
    path: str,
    tmp_path: Path,
    stopwatch: list[nn.Module],
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
    cpu_amp: None,
    before: dict[str, Any],
    after: dict[str, Any],
    warmup: int,
    steps: int,
) -> None:
    """Not clipped, not scaled, and without the penalty."""
    added = []
    plain = TaylorImportance.add_

    def add_(self: Any, rho: float, scale: float = 1.0) -> None:
        plain(self, rho, scale)
        added.append(self._sums[1].clone())

    monkeypatch.setattr(TaylorImportance, 'add_', add_)
    firsts = []
    for name, rho, changed in (('a', 1e-9, before), ('b', 10.0, after)):
        cfg = config(
            tmp_path / name,
            target='3.5ms',
            latency=path,
            begin=0,
            rho=rho,
            warmup=warmup,
            end=6,
        )
        cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=8)
        cfg.optim_wrapper.update(changed)
        runner = run(cfg)
        firsts.append(added[0])
        assert len(added) == steps  # up to the last shrink
        step = runner.optim_wrapper.step
        assert step is not tiny.hook_of(runner)._observing._patch._wrapped
        assert step._with_counter
        added.clear()
    # Schedulers still find the step that they count.
    assert not [w for w in recwarn if 'overridden' in str(w.message)]
    error = (firsts[1] - firsts[0]).norm() / firsts[0].norm()
    assert error < 1e-3  # the penalty is subtracted in float32
