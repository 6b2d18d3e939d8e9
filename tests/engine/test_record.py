"""What a run leaves for pictures: its record, its report, a live line."""

import json
import math
from types import SimpleNamespace

import killing  # noqa: F401  (registers Stop)
import numpy as np
import pytest
import tiny
import torch
from hrnas_mm.engine.class_metrics import ClassMetricsRecorder
from hrnas_mm.report import write_report
from hrnas_mm.report.record import architecture_at, by_kind, read_record
from hrnas_mm.report.tables import Table
from hrnas_mm.runners import bare_model, evaluated_model
from mmengine.registry import METRICS, MODELS
from mmengine.runner import Runner

import hrnas_mm.engine.progressive_shrink_hook as hook_module
from hrnas_mm.building import build_runner
from hrnas_mm.engine import progress, results
from hrnas_mm.engine.progress import LiveLine
from hrnas_mm.search import (
    apply_architecture_,
    architecture_of,
    read_description,
)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A run to a target with a milestone, resumed after two shrinks."""
    work_dir = tmp_path_factory.mktemp('run')
    options = dict(
        max_iters=18, ema=dict(momentum=0.5), rho=None, interval=2, begin=2,
        end=14, target=0.4, milestones=[0.7],
    )  # fmt: skip
    cfg = tiny.config(work_dir, **options)
    cfg.custom_hooks.append(dict(type='Stop', at=9))
    with pytest.raises(KeyboardInterrupt):
        Runner.from_cfg(cfg).train()
    cfg = tiny.config(work_dir, **options)
    cfg.resume = True
    cfg.experiment_name += '-again'
    runner = Runner.from_cfg(cfg)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, 'write_report', write_report)
        runner.train()
    return runner, work_dir


def test_record_is_that_of_the_whole_run(finished):
    runner, work_dir = finished
    record = read_record(str(work_dir))
    steps = [entry['iter'] for entry in record['history']]
    assert steps == [0, 4, 6, 8, 10, 12, 14]
    elements = {u: f['elements'] for u, f in record['supernet'].items()}
    assert architecture_at(record, 0) == elements
    assert architecture_at(record, -1) == architecture_of(bare_model(runner))
    assert record['history'][0]['costs'] == record['costs']
    costs = [entry['costs']['macs'] for entry in record['history']]
    assert costs == sorted(costs)[::-1]
    assert record['target']['amount'] >= costs[-1]
    assert [rung['name'] for rung in record['milestones']] == ['0.7']
    assert record['milestones'][0]['counts'] != record['history'][-1]['counts']
    assert record['evaluations'][-1]['iter'] == record['max_iters'] == 18
    assert 'accuracy' in record['evaluations'][-1]['metrics']


def test_record_tells_of_the_run(finished):
    """The curves go over both processes of a run that was resumed."""
    runner, work_dir = finished
    record = read_record(str(work_dir))
    assert record['run']['seed'] == '3' and record['run']['command']
    curves = record['curves']
    assert curves['iter'] == list(range(1, 19))
    assert min(curves['seconds']) > 0 and len(curves['loss']) == 18
    (stages,) = [t for t in record['tables'] if 'stage' in t['title']]
    for column, entry in (
        (1, record['history'][0]),
        (2, record['history'][-1]),
    ):
        total = sum(float(row[column].split()[0]) for row in stages['rows'])
        assert total == pytest.approx(entry['costs']['macs'] / 1e9, rel=1e-3)


def test_a_run_that_is_over_is_resumed(finished):
    """As scripts of a queue do; it leaves what it had left."""
    runner, work_dir = finished
    before = read_record(str(work_dir))
    cfg = runner.cfg.copy()
    cfg.resume, cfg.experiment_name = True, cfg.experiment_name + '-over'
    Runner.from_cfg(cfg).train()
    after = read_record(str(work_dir))
    for record in (before, after):
        costs, evaluations = record['tables'][:2]
        names = [row[0] for row in costs['rows']]
        del costs['rows'][names.index('ms per image')], record['run']
        del record['curves']  # all three tell of time
        assert 'accuracy' in [row[0] for row in evaluations['rows']]
    assert after == before


def test_report_is_beside_searched(finished):
    _, work_dir = finished
    text = (work_dir / 'report.html').read_text()
    for part in ('accuracy', 'ms per image', 'Milestones', 'model.pth'):
        assert part in text


def test_checkpoints_say_their_architecture(finished):
    runner, work_dir = finished
    record = read_record(str(work_dir))
    at = dict(enumerate(entry['iter'] for entry in record['history']))
    for name, iteration in (('iter_8.pth', 6), ('iter_16.pth', 14)):
        checkpoint = torch.load(work_dir / name, weights_only=True)
        index = next(i for i, step in at.items() if step == iteration)
        found = checkpoint['architecture']
        assert found['units'] == architecture_at(record, index)
        assert found['supernet'] == record['supernet']
    final = torch.load(work_dir / 'searched/model.pth', weights_only=True)
    path = str(work_dir / 'searched/architecture.json')
    assert final['architecture'] == read_description(path)
    assert final['architecture']['units'] == architecture_of(
        evaluated_model(runner)
    )


def test_a_page_that_cannot_be_drawn_is_a_warning(tmp_path, monkeypatch):
    def fail(page, work_dir):
        raise OverflowError('no page today')

    monkeypatch.setattr(results, 'write_report', fail)
    cfg = tiny.config(tmp_path, max_iters=4)
    cfg.log_level = 'INFO'
    Runner.from_cfg(cfg).train()
    log = next(tmp_path.rglob('*.log')).read_text()
    assert 'could not be drawn: OverflowError: no page today' in log
    assert read_record(str(tmp_path))['tables']


class Odd(tiny.PixelAccuracy):
    """Reports what is no number, and one more metric at the end."""

    def compute_metrics(self, results):
        self.calls = getattr(self, 'calls', 0) + 1
        late = dict(late=1.0) if self.calls > 1 else {}
        return dict(table=torch.ones(2), name='x', **late)


METRICS.register_module(module=Odd)


def test_metrics_that_are_no_numbers_or_come_late(tmp_path):
    cfg = tiny.config(tmp_path)
    cfg.val_evaluator = dict(type='Odd')
    Runner.from_cfg(cfg).train()
    record = read_record(str(tmp_path))
    assert [e['metrics'] for e in record['evaluations']] == [{}, {'late': 1.0}]
    assert ['late', '-', '1'] in record['tables'][1]['rows']
    write_report(str(tmp_path / 'report.html'), str(tmp_path))


def test_a_search_that_goes_on_from_a_network_without_tokens(tmp_path):
    cfg = tiny.config(tmp_path, threshold=0)
    model = MODELS.build(cfg.model)
    arch = {
        name: 0 if name.endswith('tokens') else count
        for name, count in architecture_of(model).items()
    }
    apply_architecture_(model, arch)
    cfg.load_from = str(tmp_path / 'rung.pth')
    torch.save(dict(state_dict=model.state_dict()), cfg.load_from)
    Runner.from_cfg(cfg).train()
    record = read_record(str(tmp_path))
    supernet = record['supernet']
    assert by_kind(supernet, architecture_at(record, 0))['tokens'] == 0
    elements = {unit: facts['elements'] for unit, facts in supernet.items()}
    assert by_kind(supernet, elements)['tokens'] > 0
    write_report(str(tmp_path / 'report.html'), str(tmp_path))


def test_the_search_of_a_run_that_began_without_one(tmp_path):
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
    assert record['history'][0]['iter'] == 8
    write_report(str(tmp_path / 'report.html'), str(tmp_path))


class Terminal:
    """Remembers what is written to it."""

    encoding = 'utf-8'

    def __init__(self, is_terminal=True):
        self.is_terminal = is_terminal
        self.text = ''

    def isatty(self):
        return self.is_terminal

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        pass


@pytest.mark.parametrize('is_terminal', [True, False])
def test_live_line(tmp_path, monkeypatch, is_terminal):
    terminal = Terminal(is_terminal)

    def line(runner, search):
        return LiveLine(runner, search, terminal)

    monkeypatch.setattr(hook_module, 'LiveLine', line)
    monkeypatch.setattr(progress, 'MIN_SECONDS', 0)
    cfg = tiny.config(
        tmp_path, rho=None, interval=None, target=0.5, begin=2, end=8
    )
    Runner.from_cfg(cfg).train()
    if not is_terminal:
        assert terminal.text == ''
        return
    record = json.loads((tmp_path / 'search.json').read_text())
    for entry in (record['history'][0], record['history'][-1]):
        assert f'{entry["costs"]["macs"] / 1e9:.4g} G → ' in terminal.text
    assert 'rho 0.0003' in terminal.text and '100%' in terminal.text
    assert terminal.text.endswith('\x1b[2K')  # the line is gone


def test_classes_are_those_of_the_last_network():
    class Metric:
        dataset_meta = dict(classes=('car', 'tree'))

        def total_area_to_metrics(self):
            return dict(IoU=np.array([0.5, math.nan]), aAcc=0.7)

    metric = Metric()
    runner = SimpleNamespace(
        iter=30,
        val_loop=object(),
        val_evaluator=SimpleNamespace(metrics=[metric]),
    )
    found = ClassMetricsRecorder(runner)
    assert found.table() is None
    metric.total_area_to_metrics()
    assert found.table().rows == [('car', '50.0'), ('tree', '-')]
    runner.iter = 40
    assert found.table() is None


def test_a_table_is_whole_and_literal():
    """With many metrics, of names that rich would take for markup."""
    names = ('', *(f'coco/AP[{i}] :x:' for i in range(12)))
    text = str(Table('50[%]', names, [('run', *['0.12345[/a]'] * 12)]))
    assert all(name in text for name in names) and '50[%]' in text
    assert text.count('0.12345[/a]') == 12
