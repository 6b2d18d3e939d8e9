"""What a run leaves for pictures: its record, its report, a live line."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import killing  # noqa: F401  (registers Stop)
import numpy as np
import pytest
import tiny
import torch
from milliseconds import table_of_formula
from mmengine.registry import METRICS, MODELS
from mmengine.runner import Runner

import hrnas_mm.engine.progressive_shrink_hook as hook_module
from hrnas_mm.building import build_model, build_runner
from hrnas_mm.deploy import cost_model_of
from hrnas_mm.engine import progress, results
from hrnas_mm.engine.progress import LiveLine
from hrnas_mm.engine.run_info import _command, _typed
from hrnas_mm.engine.search import Search
from hrnas_mm.latency import Latency
from hrnas_mm.latency.table import write_latency_table
from hrnas_mm.report import write_report
from hrnas_mm.report.record import (
    architecture_in,
    by_kind,
    read_record,
)
from hrnas_mm.report.tables import (
    Table,
    costs_table,
    evaluations_table,
)
from hrnas_mm.runners import bare_model, evaluated_model
from hrnas_mm.search import (
    apply_architecture_,
    architecture_of,
    read_description,
)


@pytest.fixture(scope='module')
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Runner, Path]:
    """A run to a target with a milestone, resumed after two shrinks."""
    work_dir = tmp_path_factory.mktemp('run')
    options: dict[str, Any] = dict(
        max_iters=18, ema=dict(momentum=0.5), rho=None, interval=2, begin=2,
        end=14, target=0.4, milestones=[0.7],
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, 'write_report', write_report)
        cfg = tiny.config(work_dir, **options)
        cfg.custom_hooks.append(dict(type='Stop', at=9))
        with pytest.raises(KeyboardInterrupt):
            Runner.from_cfg(cfg).train()
        (work_dir / 'report.html').rename(work_dir / 'in_the_middle.html')
        cfg = tiny.config(work_dir, **options)
        cfg.resume = True
        cfg.experiment_name += '-again'
        runner = Runner.from_cfg(cfg)
        runner.train()
    return runner, work_dir


def test_record_is_that_of_the_whole_run(
    finished: tuple[Runner, Path],
) -> None:
    runner, work_dir = finished
    record = read_record(str(work_dir))
    history = record.history
    steps = [network.iter for network in history]
    assert steps == [0, 4, 6, 8, 10, 12, 14]
    elements = {name: u.elements for name, u in record.supernet.items()}
    assert architecture_in(record, history[0]) == elements
    now = architecture_of(bare_model(runner))
    assert architecture_in(record, history[-1]) == now
    assert history[0].costs == record.costs
    costs = [network.costs['macs'] for network in history]
    assert costs == sorted(costs)[::-1]
    assert record.target.amount >= costs[-1]
    assert [milestone.name for milestone in record.milestones] == ['0.7']
    assert record.milestones[0].counts != history[-1].counts
    assert record.evaluations[-1].iter == record.max_iters == 18
    assert 'accuracy' in record.evaluations[-1].metrics


def test_record_tells_of_the_run(finished: tuple[Runner, Path]) -> None:
    """The curves go over both processes of a run that was resumed."""
    runner, work_dir = finished
    record = read_record(str(work_dir))
    assert record.run.seed == 3 and record.run.command
    curves = record.curves
    assert curves['iter'] == list(range(1, 19))
    assert min(curves['seconds']) > 0 and len(curves['loss']) == 18
    # The loss is the model's own, the penalty all that was added to it.
    scalars = runner.message_hub.log_scalars
    own, whole = (scalars[f'train/{x}'].data[0] for x in ('loss_ce', 'loss'))
    np.testing.assert_allclose(curves['loss'], own, atol=1e-6)
    np.testing.assert_allclose(curves['penalty'], whole - own, atol=1e-6)
    assert curves['penalty'][-1] == 0 < max(curves['penalty'])
    assert record.run.seconds == pytest.approx(sum(curves['seconds']))
    for name, network in (
        ('supernet', record.history[0]),
        ('searched', record.history[-1]),
    ):
        total = sum(getattr(stage, name) for stage in record.stages)
        assert total == network.costs['macs']


@pytest.mark.parametrize(
    ('typed', 'shown'),
    [
        (
            '{bin}/python -m hrnas_mm train a.py',
            'python -m hrnas_mm train a.py',
        ),
        (
            'python {here}/train.py {here}/a.py --amp',
            'python train.py a.py --amp',
        ),
        (
            'python train.py a={here}/b /c{here}/d',
            'python train.py a=b /c{here}/d',
        ),
        ('{bin}/python {bin}/torchrun train.py', 'torchrun train.py'),
        ('python', 'python'),
    ],
)
def test_the_command_is_that_which_was_typed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: str, shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('sys.argv', ['/somewhere/hrnas_mm/train.py'])
    folder = Path(sys.executable).parent
    words = typed.format(bin=folder, here=tmp_path.resolve()).split()
    monkeypatch.setattr('sys.orig_argv', words)
    assert _command() == shown.format(here=tmp_path.resolve())


def test_the_command_of_torchrun_is_that_of_the_launcher(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', '1')
    monkeypatch.setattr('os.getppid', os.getpid)
    own = Path('/proc/self/cmdline').read_bytes()
    assert _typed() == os.fsdecode(own).split('\0')[:-1]


def test_a_run_that_is_over_is_resumed(finished: tuple[Runner, Path]) -> None:
    """As scripts of a queue do; it leaves what it had left."""
    runner, work_dir = finished
    before = read_record(str(work_dir))
    cfg = runner.cfg.copy()
    cfg.resume, cfg.experiment_name = True, cfg.experiment_name + '-over'
    Runner.from_cfg(cfg).train()
    after = read_record(str(work_dir))
    for record in (before, after):
        rows = evaluations_table(record).rows
        assert 'accuracy' in [name for name, *_ in rows]
    # These tell of time.
    changed: dict[str, Any] = dict(run=before.run, curves=before.curves)
    assert replace(after, **changed) == before


def test_report_is_beside_searched(finished: tuple[Runner, Path]) -> None:
    _, work_dir = finished
    text = (work_dir / 'report.html').read_text()
    for part in ('accuracy', 'parameters', 'Milestones', 'model.pth'):
        assert part in text


def test_the_page_is_watched_until_the_end(
    finished: tuple[Runner, Path],
) -> None:
    """It is written at an evaluation, and says that the run goes on."""
    _, work_dir = finished
    before = (work_dir / 'in_the_middle.html').read_text()
    after = (work_dir / 'report.html').read_text()
    assert '<meta http-equiv="refresh"' in before
    assert 'iteration\n6 of 18' in before and 'Use it' not in before
    assert '>now<' in before and 'accuracy' in before
    assert 'searched' not in before
    assert 'refresh' not in after and 'not over' not in after


def test_checkpoints_say_their_architecture(
    finished: tuple[Runner, Path],
) -> None:
    runner, work_dir = finished
    record = read_record(str(work_dir))
    at = {network.iter: network for network in record.history}
    for name, iteration in (('iter_8.pth', 6), ('iter_16.pth', 14)):
        found = read_description(str(work_dir / name))
        assert found.units == architecture_in(record, at[iteration])
        assert found.supernet == record.supernet
    final = torch.load(work_dir / 'searched/model.pth', weights_only=True)
    path = str(work_dir / 'searched/architecture.json')
    assert final['architecture'] == read_description(path).as_json()
    assert final['architecture']['units'] == architecture_of(
        evaluated_model(runner)
    )


def test_a_page_that_cannot_be_drawn_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(page: str, work_dir: str) -> None:
        raise OverflowError('no page today')

    monkeypatch.setattr(results, 'write_report', fail)
    cfg = tiny.config(tmp_path, max_iters=4)
    cfg.log_level = 'INFO'
    Runner.from_cfg(cfg).train()
    log = next(tmp_path.rglob('*.log')).read_text()
    assert 'could not be drawn: OverflowError: no page today' in log
    assert costs_table(read_record(str(tmp_path))).rows


class Odd(tiny.PixelAccuracy):
    """Reports what is no number, and one more metric at the end."""

    def compute_metrics(self, results: Any) -> dict[str, Any]:
        self.calls = getattr(self, 'calls', 0) + 1
        late = dict(late=1.0) if self.calls > 1 else {}
        return dict(table=torch.ones(2), name='x', **late)


METRICS.register_module(module=Odd)


def test_metrics_that_are_no_numbers_or_come_late(tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path)
    cfg.val_evaluator = dict(type='Odd')
    Runner.from_cfg(cfg).train()
    record = read_record(str(tmp_path))
    assert [e.metrics for e in record.evaluations] == [{}, {'late': 1.0}]
    assert ('late', '-', '1') in evaluations_table(record).rows
    write_report(str(tmp_path / 'report.html'), str(tmp_path))


def test_a_search_that_goes_on_from_a_network_without_tokens(
    tmp_path: Path,
) -> None:
    cfg = tiny.config(tmp_path, threshold=0)
    model = MODELS.build(cfg.model)
    arch = {
        name: 0 if name.endswith('tokens') else count
        for name, count in architecture_of(model).items()
    }
    apply_architecture_(model, arch)
    cfg.load_from = str(tmp_path / 'milestone.pth')
    torch.save(dict(state_dict=model.state_dict()), cfg.load_from)
    Runner.from_cfg(cfg).train()
    record = read_record(str(tmp_path))
    supernet = record.supernet
    first = architecture_in(record, record.history[0])
    assert by_kind(supernet, first)['tokens'] == 0
    elements = {name: unit.elements for name, unit in supernet.items()}
    assert by_kind(supernet, elements)['tokens'] > 0
    write_report(str(tmp_path / 'report.html'), str(tmp_path))


def test_the_search_of_a_run_that_began_without_one(tmp_path: Path) -> None:
    """Its checkpoint has no history: that begins where it is resumed."""
    cfg = tiny.config(tmp_path)
    cfg.pop('custom_hooks')
    cfg.train_cfg.max_iters = 8
    build_runner(cfg).train()
    cfg = tiny.config(tmp_path, begin=9, interval=2)
    cfg.resume = True
    cfg.experiment_name += '-again'
    Runner.from_cfg(cfg).train()
    record = read_record(str(tmp_path))
    assert record.history[0].iter == 8
    write_report(str(tmp_path / 'report.html'), str(tmp_path))


class Terminal:
    """Remembers what is written to it."""

    encoding = 'utf-8'

    def __init__(self, is_terminal: bool = True) -> None:
        self.is_terminal = is_terminal
        self.text = ''

    def isatty(self) -> bool:
        return self.is_terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize('is_terminal', [True, False])
def test_live_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    terminal: Any = Terminal(is_terminal)

    def line(search: Search) -> LiveLine:
        return LiveLine(search, terminal)

    monkeypatch.setattr(hook_module, 'LiveLine', line)
    monkeypatch.setattr(progress, 'MIN_SECONDS', 0)
    monkeypatch.setattr(progress, 'PREDICTS', 0)
    monkeypatch.setattr(results, 'why_not_measured', lambda latency: 'no')
    target: dict[str, Any] = dict(rho=None, interval=None)
    target |= dict(target=dict(macs=0.5), begin=2, end=8)
    cfg = tiny.config(tmp_path, **target)
    table = table_of_formula(cost_model_of(build_model(cfg), (3, 32, 32)), 2)
    write_latency_table(table, str(tmp_path / 'table.json'))
    cfg.custom_hooks[-1].latency = str(tmp_path / 'table.json')
    Runner.from_cfg(cfg).train()
    if not is_terminal:
        assert terminal.text == ''
        return
    record = json.loads((tmp_path / 'search.json').read_text())
    for entry in (record['history'][0], record['history'][-1]):
        assert f'{entry["costs"]["macs"] / 1e9:.4g} G → ' in terminal.text
        ms = Latency(table).format(entry['costs']['latency'])
        assert f' G multiply-adds, {ms} ms, rho' in terminal.text
    assert 'rho 0.0003' in terminal.text and '100%' in terminal.text
    assert ' s left' in terminal.text
    assert terminal.text.endswith('\x1b[2K')  # the line is gone


def test_a_table_is_whole_and_literal() -> None:
    """With many metrics, of names that rich would take for markup."""
    names = ('', *(f'coco/AP[{i}] :x:' for i in range(12)))
    text = str(Table('50[%]', names, [('run', *['0.12345[/a]'] * 12)]))
    assert all(name in text for name in names) and '50[%]' in text
    assert text.count('0.12345[/a]') == 12
