"""Comparing configs over seeds, on tiny data."""

import json
from pathlib import Path

import pytest
import tiny
from command_line import call, checked
from mmengine.config import Config

from hrnas_mm.cli.runs import Run, train

pytest.importorskip('mmpretrain')


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A search, and the same network without one."""
    monkeypatch.setenv('PYTHONPATH', str(Path(tiny.__file__).parent))
    paths = []
    for name in ('searched', 'plain'):
        cfg = tiny.config(tmp_path, max_iters=6, target=0.5, begin=1, end=4)
        cfg.custom_imports = dict(imports=['tiny'])
        if name == 'plain':
            cfg.custom_hooks = []
        paths.append(tmp_path / f'{name}.py')
        cfg.dump(str(paths[-1]))
    return paths


def test_compare(configs, tmp_path):
    """What is finished is not trained again; the rest is, with its seed."""
    folder = tmp_path / 'compared'
    for seed, value in ((0, 40.0), (1, 44.0)):
        finished = folder / f'plain/seed-{seed}'
        finished.mkdir(parents=True)
        (finished / 'result.json').write_text(json.dumps({'accuracy': value}))
    (folder / 'searched/seed-1').mkdir(parents=True)
    (folder / 'searched/seed-1/result.json').write_text('{"accuracy": 30.0}')
    args = (
        'tools/compare.py', *configs, '--work-dir', folder,
        '--seeds', 0, 1, '--metric', 'accuracy',
        '--backend', 'channels_last', '--shape', 32, 32, '--seconds', 0,
    )  # fmt: skip
    printed = checked(*args)
    run = folder / 'searched/seed-0'
    assert Config.fromfile(str(run / 'searched.py')).randomness.seed == 0
    rows = json.loads((folder / 'comparison.json').read_text())
    assert [(row['name'], row['seed']) for row in rows] == [
        ('searched', 0), ('searched', 1), ('plain', 0), ('plain', 1),
    ]  # fmt: skip
    searched, whole = rows[0], rows[1]
    assert searched['macs'] < 0.6 * whole['macs']  # seed 1 has no network
    assert (
        searched['metric']
        == json.loads((run / 'result.json').read_text())['accuracy']
    )
    assert all(row['ms'] > 0 for row in rows)
    table = (folder / 'comparison.md').read_text()
    for text in (printed, table):
        assert '42.00 ± 2.83' in text
    assert (folder / 'comparison.png').read_bytes().startswith(b'\x89PNG')


def test_clear_errors(configs, tmp_path):
    args = ('--work-dir', tmp_path / 'x', '--backend', 'channels_last')
    same = call('tools/compare.py', configs[0], configs[0], *args)
    assert same.code == 2 and 'must have different names' in same.err
    broken = tmp_path / 'broken.py'
    broken.write_text("raise ValueError('broken')\n")
    run = Run('config.py', 0, str(tmp_path / 'run'))
    with pytest.raises(RuntimeError, match='see its log: ValueError: broken'):
        train(run, str(broken), 'accuracy', [])
