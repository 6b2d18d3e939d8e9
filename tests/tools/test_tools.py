"""The command lines, on generated data in Cityscapes' layout, with mmseg."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from command_line import ROOT, call, checked, finish, metrics, start
from milliseconds import table_of_formula
from ranks import free_port

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import prepare_config
from hrnas_mm.deploy import cost_model_of
from hrnas_mm.latency import Latency
from hrnas_mm.latency.table import write_latency_table
from hrnas_mm.search import architecture_of
from hrnas_mm.search_in_config import search_shape

CONFIG = 'configs/mmseg/hrnas_demo_1xb8-300_cityscapes-128x256.py'
CAMVID = 'configs/mmseg/camvid/hrnas_1xb8-1200_camvid-192x256.py'
pytest.importorskip('mmseg')
LOADING = [
    setting
    for split in ('train', 'val', 'test')
    for setting in (
        f'{split}_dataloader.num_workers=0',
        f'{split}_dataloader.persistent_workers=False',
    )
]


@pytest.fixture(scope='module', autouse=True)
def _imported() -> None:
    """What every command would have to import."""
    import mmseg.apis  # noqa: F401
    import mmseg.datasets
    import mmseg.evaluation
    import mmseg.visualization  # noqa: F401


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('cityscapes')
    size = ('--train', 16, '--val', 4, '--size', 64, 32)
    checked('tools/make_demo_data.py', 'cityscapes', folder, *size)
    return folder


def options(data: Path) -> list[str]:
    return [
        '--cfg-options',
        f'data_root={data}',
        *LOADING,
        'train_cfg.max_iters=12',
        'train_cfg.val_interval=6',
        'train_dataloader.batch_size=4',
        'model.data_preprocessor.size=(32,64)',
        'default_hooks.checkpoint.interval=4',
        'default_hooks.logger.interval=4',
        'custom_hooks.1.begin=0',
        'custom_hooks.1.interval=3',
        'custom_hooks.1.end=9',
        'custom_hooks.1.threshold=0.98',
        'custom_hooks.1.calibration_batches=2',
    ]


# Any run of mmengine; test_kill.py has those with a search


def test_killed_run_goes_on_and_is_tested(data: Path, tmp_path: Path) -> None:
    """By a config of mmseg alone, in whose run there is nothing of ours."""
    config = 'mmseg::hrnet/fcn_hr18s_4xb2-40k_cityscapes-512x1024.py'
    pipeline = '{}_dataloader.dataset.pipeline.{}'.format
    settings = [
        '--cfg-options',
        f'data_root={data}',
        *LOADING,
        'model.pretrained=None',
        'train_cfg.max_iters=6',
        'train_cfg.val_interval=6',
        'default_hooks.checkpoint.interval=2',
        f'{pipeline("train", 3)}.crop_size=(32,64)',
        f'{pipeline("val", 1)}.scale=(64,32)',
        f'{pipeline("test", 1)}.scale=(64,32)',
        'model.data_preprocessor.size=(32,64)',
        'randomness.seed=5',
    ]
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    train = partial(start, 'tools/train.py', config, '--work-dir')
    assert finish(*train(whole, *settings)).code == 0
    last = (whole / 'last_checkpoint').read_text().split('/')[-1]
    process, files = train(broken, *settings)
    while len(list(broken.glob('iter_*.pth'))) < 2:
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    assert finish(process, files).code == -signal.SIGKILL
    assert not (broken / last).exists()
    resumed = finish(*train(broken, '--resume', *settings))
    assert resumed.code == 0, resumed.err[-3000:]
    ends = [
        torch.load(folder / last, weights_only=True)
        for folder in (whole, broken)
    ]
    for part in ('state_dict', 'optimizer'):
        first, second = (dict(end[part]) for end in ends)
        torch.testing.assert_close(first, second, rtol=0, atol=0)
    first, second = (end['rng_state'][0] for end in ends)
    assert torch.equal(first.pop('torch'), second.pop('torch'))
    assert first == second
    assert metrics(whole) == metrics(broken)
    logged = metrics(broken)
    checked(
        'tools/test.py', config, broken / last, '--work-dir',
        tmp_path / 'test', *settings,
    )  # fmt: skip
    assert metrics(tmp_path / 'test') == logged
    out = tmp_path / 'architecture.json'
    command = ('tools/export_architecture.py', broken / last, out, '--config')
    result = call(*command, config)
    assert result.code == 2 and 'must have search units' in result.err


# Single tools


def test_missing_data_names_folder_and_remedy() -> None:
    result = call(
        'tools/train.py', CONFIG, '--cfg-options', 'data_root=/nowhere'
    )
    assert result.code == 2
    assert re.search(
        r"data_root '/nowhere/' does not exist.*"
        r'tools/make_demo_data.py cityscapes',
        result.err,
    )


def test_camvid_config_trains_on_the_real_images(
    shared_data: Path, tmp_path: Path
) -> None:
    checked(
        'tools/train.py', CAMVID, '--no-validate', '--work-dir', tmp_path,
        '--cfg-options', f'data_root={shared_data / "camvid"}', *LOADING[:2],
        'train_cfg.max_iters=2', 'train_dataloader.batch_size=2',
        'custom_hooks.1.begin=0', 'custom_hooks.1.end=1',
        'custom_hooks.1.calibration_batches=1',
    )  # fmt: skip
    assert (tmp_path / 'searched/model.pth').exists()


@pytest.mark.parametrize(
    'name, options, cost, amount',
    [
        ('uniform_baseline', ('--target', '0.3'), 'macs', 46_020_608),
        (
            'random_architecture',
            ('--target', '0.6M', '--cost', 'params', '--seed', 3),
            'params',
            600_000,
        ),
    ],
)
def test_a_baseline_is_a_config_of_its_budget(
    tmp_path: Path, name: str, options: tuple[str, ...], cost: str, amount: int
) -> None:
    out = tmp_path / 'baseline.py'
    command = (f'tools/{name}.py', CONFIG, out, *options)
    assert 'of the budget' in checked(*command)
    counts = json.loads(checked('tools/get_flops.py', out, '--json'))
    assert 0.85 * amount < counts['total'][cost] <= amount
    written = out.read_text()
    assert 'ProgressiveShrinkHook' not in written
    assert 'ExactResumeHook' in written
    assert call(*command).code == 2
    checked(*command, '--force')
    assert out.read_text() == written


def test_a_baseline_of_milliseconds(tmp_path: Path) -> None:
    cfg = prepare_config(str(ROOT / CONFIG))
    costs = cost_model_of(build_model(cfg), search_shape(cfg))
    table = table_of_formula(costs)
    write_latency_table(table, str(tmp_path / 'table.json'))
    ms = costs.counting(Latency(table))
    target = 0.6 * ms.total(costs.supernet)
    out = tmp_path / 'baseline.py'
    command = ('tools/uniform_baseline.py', CONFIG, out, '--target')
    assert 'needs a table of them' in call(*command, f'{target}ms').err
    checked(*command, f'{target}ms', '--latency', tmp_path / 'table.json')
    model = build_model(prepare_config(str(out)))
    assert 0.95 * target < ms.total(architecture_of(model)) <= target


def test_benchmark_of_the_search() -> None:
    command = ('benchmarks/training_cost.py', CONFIG, '--rounds', 1)
    # Of smaller images that form's copies of weights outweigh the maps.
    out = checked(*command, '--shape', 64, 128, '--batch', 2)
    rows = [
        [cell.strip() for cell in line.split('│')[1:-1]]
        for line in out.splitlines()
        if line.startswith('│')
    ]
    cells = {name: values for name, *values in rows}
    parts = ('forward', 'backward', 'optimize')
    added = {'penalty', 'Taylor importance', 'checks'}
    assert cells.keys() >= {*parts, 'backbone.stem', *added}
    for form in (0, 1):
        ms = sum(float(cells[part][form]) for part in parts)
        assert float(cells['together'][form]) == pytest.approx(ms, abs=0.25)
    efficient, plain = map(float, cells['peak memory, MB'][:2])
    assert efficient < plain


def test_labels_of_the_demo_data(data: Path) -> None:
    labels = {
        int(v)
        for p in data.rglob('*labelTrainIds.png')
        for v in np.unique(cv2.imread(str(p), 0))
    }
    assert labels == {0, 1, 2, 5, 7, 8, 10, 11, 13}


# Several processes, through the scripts


def script(name: str, *args: object, **environment: str) -> str:
    """Run a script to its end; return what it prints."""
    settings = dict(
        PYTHON=sys.executable, PORT=str(free_port()), OMP_NUM_THREADS='1'
    )
    result = subprocess.run(
        [f'tools/{name}', *map(str, args)],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, **settings, **environment},
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


SHORT: tuple[str, ...] = ('train_cfg.max_iters=4', 'train_cfg.val_interval=4')
SHORT += ('custom_hooks.1.interval=1', 'custom_hooks.1.end=3')


def test_two_processes_through_the_launch_script(
    data: Path, tmp_path: Path
) -> None:
    work_dir = ('--work-dir', tmp_path)
    script('dist_train.sh', CONFIG, 2, *work_dir, *options(data), *SHORT)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'GPU number: 2' in log and 'Search finished' in log
    assert metrics(tmp_path)['mIoU'] > 0
    printed = script(
        'dist_test.sh', CONFIG, 'model.pth', 1, *work_dir, PYTHON='echo'
    )
    launch, task = printed.split('/tools/')
    assert '--nproc_per_node=1' in launch
    assert task.split() == [
        'test.py', '--launcher', 'pytorch', CONFIG, 'model.pth',
        *map(str, work_dir),
    ]  # fmt: skip


def test_slurm_script(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an srun that tells the task, which is then run here."""
    srun = tmp_path / 'srun'
    srun.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    work_dir = tmp_path / 'run'
    printed = script(
        'slurm_train.sh', 'gpu', 'search', CONFIG, '--work-dir', work_dir,
        *options(data), *SHORT,
        PATH=f'{tmp_path}:{os.environ["PATH"]}',
        GPUS='1', GPUS_PER_NODE='1', SRUN_ARGS='--qos=low --time=60',
    )  # fmt: skip
    arguments = printed.splitlines()
    task = arguments.index(sys.executable)
    assert arguments[:2] == ['-p', 'gpu']
    assert {'--gres=gpu:1', '--ntasks=1', '--qos=low'} < {*arguments[:task]}
    python, unbuffered, *command = arguments[task:]
    for name, value in dict(
        SLURM_PROCID=0, SLURM_LOCALID=0, SLURM_NTASKS=1,
        MASTER_PORT=free_port(),
    ).items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    checked(*command)
    assert (work_dir / 'searched/model.pth').exists()
