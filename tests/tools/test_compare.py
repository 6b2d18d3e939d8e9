"""Comparing configs over seeds, on tiny data."""

import json
import math
import os
import select
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tiny
from command_line import call, checked
from comparison.runs import Run, metric_of, network_of, runs_of
from comparison.trainings import Trainings
from mmengine.config import Config

from hrnas_mm.cli.with_parent import end_with_parent_
from hrnas_mm.files import write_json

pytest.importorskip('mmpretrain')


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
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


def finish_without_training(
    path: Path, folder: Path, value: Any, **settings: Any
) -> None:
    folder.mkdir(parents=True)
    shutil.copy(path, folder)
    noted = dict(accuracy=value, options=[], **settings)
    (folder / 'result.json').write_text(json.dumps(noted))


def test_compare(configs: list[Path], tmp_path: Path) -> None:
    """What is finished is not trained again; the rest is, with its seed."""
    folder = tmp_path / 'compared'
    for seed, value in ((0, 40.0), (1, 44.0)):
        finish_without_training(
            configs[1], folder / f'plain/seed-{seed}', value
        )
    args = (
        'tools/compare.py', *configs, '--work-dir', folder,
        '--metric', 'accuracy', '--backend', 'channels_last',
        '--shape', 32, 32, '--seconds', 0, '--seeds', 0,
    )  # fmt: skip
    checked(*args)
    run = folder / 'searched/seed-0'
    assert Config.fromfile(str(run / 'searched.py')).randomness.seed == 0
    shutil.copytree(run, folder / 'searched/seed-1')
    printed = checked(*args, 1)
    rows = json.loads((folder / 'comparison.json').read_text())
    assert [(row['name'], row['seed']) for row in rows] == [
        ('searched', 0), ('searched', 1), ('plain', 0), ('plain', 1),
    ]  # fmt: skip
    searched, _, plain, _ = rows
    assert searched['macs'] < 0.6 * plain['macs']
    noted = json.loads((run / 'result.json').read_text())
    assert searched['metric'] == noted['accuracy']
    assert all(row['ms'] > 0 for row in rows)
    table = (folder / 'comparison.md').read_text()
    for text in (printed, table):
        assert '42.00 ± 2.83' in text
    assert (folder / 'comparison.png').read_bytes().startswith(b'\x89PNG')


def test_clear_errors(configs: list[Path], tmp_path: Path) -> None:
    args = ('--work-dir', tmp_path / 'x', '--backend', 'channels_last')
    same = call('tools/compare.py', configs[0], configs[0], *args)
    assert same.code == 2 and 'must have different names' in same.err
    twice = call('tools/compare.py', *configs, *args, '--seeds', 1, 1)
    assert twice.code == 2 and '--seeds must differ' in twice.err
    broken = tmp_path / 'broken.py'
    broken.write_text("raise ValueError('broken')\n")
    run = Run('config.py', 0, str(tmp_path / 'run'))
    with pytest.raises(RuntimeError, match='see its log: ValueError: broken'):
        Trainings(str(broken), 'accuracy', []).run([run])
    others = Trainings(str(broken), 'accuracy', ['a=1'])
    with pytest.raises(RuntimeError, match='ValueError: broken'):
        others.run([run])  # nothing has been trained so far
    (tmp_path / 'run/last_checkpoint').touch()
    with pytest.raises(ValueError, match=r"options \['a=1'\], got \[\]"):
        Trainings(str(broken), 'accuracy', []).run([run])


def test_each_config_and_seed_is_its_own(
    configs: list[Path], tmp_path: Path
) -> None:
    """No run may pass for that of another config or of another seed."""
    folder, plain = str(tmp_path / 'compared'), configs[1]

    def runs() -> Any:
        return runs_of([str(plain)], [0], folder)

    (run,) = runs()
    finish_without_training(plain, Path(run.folder), 40.0, config=run.digest)
    trainings = Trainings('nothing is run', 'accuracy', [])
    trainings.run(runs())
    plain.write_text(plain.read_text() + '\nedited = True\n')
    with pytest.raises(ValueError, match='another config, or .* was edited'):
        trainings.run(runs())
    for option in ('randomness.seed=7', 'randomness=dict(seed=7)'):
        with pytest.raises(ValueError, match='leave the seed to --seeds'):
            Trainings('nothing is run', 'accuracy', [option])
    plain.write_text(
        plain.read_text() + "\nvisualizer = dict(type='Visualizer', "
        "vis_backends=[dict(type='TensorboardVisBackend')])\n"
    )
    with pytest.raises(ValueError, match='must have a LocalVisBackend'):
        runs()


def test_a_run_without_a_finite_metric(
    configs: list[Path], tmp_path: Path
) -> None:
    """It is a cell without a number, for which nothing else is lost."""
    other = tmp_path / 'other.yaml'
    Config.fromfile(configs[1]).dump(other)
    for path, values in ((configs[1], (0.4, math.nan)), (other, (0.5, 0.6))):
        for seed, value in enumerate(values):
            folder = tmp_path / f'to/{path.stem}/seed-{seed}'
            finish_without_training(path, folder, value)
    printed = checked(
        'tools/compare.py', configs[1], other, '--work-dir', tmp_path / 'to',
        '--metric', 'accuracy', '--backend', 'channels_last', '--seconds', 0,
        '--shape', 32, 32, '--seeds', 0, 1,
    )  # fmt: skip
    assert 'nan ± nan' in printed and '0.5500 ± 0.0707' in printed
    assert (tmp_path / 'to/comparison.png').exists()


def test_a_comparison_ends_with_its_trainings(tmp_path: Path) -> None:
    """A terminated comparison leaves no training behind."""
    started, script = tmp_path / 'started', tmp_path / 'endless.py'
    os.mkfifo(started)
    script.write_text(
        f"import signal\nopen({str(started)!r}, 'w').close()\nsignal.pause()\n"
    )
    run, next_run = (
        Run('config.py', seed, f'{tmp_path}/{seed}') for seed in (0, 1)
    )
    trainings = Trainings(str(script), 'accuracy', [])
    with ThreadPoolExecutor() as pool:
        running = pool.submit(trainings.run, [run, next_run])
        open(started).close()  # waits for the script
        with pytest.raises(SystemExit, match='143'):
            trainings.end(signal.SIGTERM)
        with pytest.raises(RuntimeError, match='the training in .* failed'):
            running.result()
    assert not Path(next_run.folder).exists()


def test_a_training_ends_when_compare_is_killed(tmp_path: Path) -> None:
    """Also by a signal that no process can handle."""
    alive = tmp_path / 'alive'
    os.mkfifo(alive)
    script = tmp_path / 'train.py'
    script.write_text(
        'import os, signal\n'
        'from hrnas_mm.cli.with_parent import end_with_parent_\n'
        'end_with_parent_()\n'
        f'file = open({str(alive)!r}, "w", buffering=1)\n'
        'print(os.getpid(), file=file)\n'
        'signal.pause()\n'
    )
    run = Run('config.py', 0, str(tmp_path / 'run'))
    process = os.fork()
    if not process:
        Trainings(str(script), 'accuracy', []).run([run])
        os._exit(1)
    with open(alive) as file:  # ends with the training
        training = int(file.readline())
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        ended = select.select([file], [], [], 20)[0]
    if not ended:
        os.kill(training, signal.SIGKILL)
    assert ended


def test_a_training_that_nobody_started_goes_on() -> None:
    before = threading.active_count()
    end_with_parent_()
    assert threading.active_count() == before


def test_the_metric_of_a_run_may_be_nan(tmp_path: Path) -> None:
    run = Run('config.py', 0, str(tmp_path))
    write_json(str(tmp_path / 'result.json'), dict(accuracy=math.nan))
    assert math.isnan(metric_of(run, 'accuracy'))


def test_a_finished_run_is_what_it_was(
    configs: list[Path], tmp_path: Path
) -> None:
    run = Run(str(configs[0]), 0, str(tmp_path / 'run'))
    finish_without_training(configs[0], tmp_path / 'run', 40.0)
    Trainings('nothing is run', 'accuracy', []).run([run])
    with pytest.raises(ValueError, match=r"options \[\], got \['a=1'\]"):
        Trainings('nothing is run', 'accuracy', ['a=1']).run([run])
    with pytest.raises(FileNotFoundError, match='did the search end'):
        network_of(run, (32, 32))
    assert metric_of(run, 'accuracy') == 40.0
    for time, lines in {
        '20260102_000000': ['{"loss": 1, "lr": 1}', '{"mIoU": 5, "step": 4}'],
        '20260101_000000': ['{"mIoU": 9, "step": 8}', '{"mIoU": 7, "st'],
    }.items():
        logs = tmp_path / 'run' / time / 'vis_data'
        logs.mkdir(parents=True)
        (logs / 'scalars.json').write_text('\n'.join(lines))
    assert metric_of(run, 'mIoU') == 5
    with pytest.raises(RuntimeError, match='has evaluated, mIoU; got'):
        metric_of(run, 'mAcc')
