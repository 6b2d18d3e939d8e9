"""The command lines, on generated data in Cityscapes' layout, with mmseg."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
CONFIG = 'configs/mmseg/hrnas_demo_1xb8-300_cityscapes-128x256.py'
CAMVID = 'configs/mmseg/hrnas_1xb8-1200_camvid-192x256.py'
CITYSCAPES = 'configs/mmseg/hrnas-a_8xb4-40k_cityscapes-512x1024.py'
pytest.importorskip('mmseg')
# As many processes as cores already: threads would only get in their way.
ENVIRONMENT = {**os.environ, 'OMP_NUM_THREADS': '1'}


def call(*args, **options):
    return subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=ROOT,
        capture_output=True,
        env=ENVIRONMENT,
        text=True,
        **options,
    )


def checked(*args):
    result = call(*args)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('cityscapes')
    checked(
        'tools/make_demo_data.py',
        'cityscapes',
        folder,
        '--train',
        16,
        '--val',
        4,
        '--size',
        64,
        32,
    )
    return folder


def options(data):
    return [
        '--cfg-options',
        f'data_root={data}',
        'train_cfg.max_iters=24',
        'train_cfg.val_interval=12',
        'train_dataloader.batch_size=4',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'val_dataloader.num_workers=0',
        'val_dataloader.persistent_workers=False',
        'model.data_preprocessor.size=(32,64)',
        'default_hooks.checkpoint.interval=8',
        'default_hooks.logger.interval=8',
        'custom_hooks.1.begin=0',
        'custom_hooks.1.interval=5',
        'custom_hooks.1.end=18',
        'custom_hooks.1.threshold=0.98',
        'custom_hooks.1.calibration_batches=2',
    ]


@pytest.fixture(scope='module')
def searched(data, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('whole')
    checked('tools/train.py', CONFIG, '--work-dir', work_dir, *options(data))
    return work_dir


def metrics(work_dir):
    """The metrics of the last evaluation, as the framework wrote them."""
    tested = work_dir.glob('*/[0-9]*.json')
    trained = work_dir.glob('*/vis_data/scalars.json')
    path = max([*tested, *trained], key=lambda p: p.stat().st_mtime)
    last = json.loads(path.read_text().splitlines()[-1])
    return {k: last[k] for k in ('aAcc', 'mIoU', 'mAcc')}


def test_killed_run_resumes_exactly(data, searched, tmp_path):
    command = [
        sys.executable,
        'tools/train.py',
        CONFIG,
        '--work-dir',
        str(tmp_path),
        *options(data),
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT,
        text=True,
    )
    shrinks = 0
    for line in process.stdout:
        shrinks += 'Search:' in line and 'removed 0' not in line
        if shrinks == 2:
            break
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    checked(
        'tools/train.py',
        CONFIG,
        '--work-dir',
        tmp_path,
        '--resume',
        *options(data),
    )
    whole, again = (
        torch.load(folder / 'iter_24.pth', weights_only=True)
        for folder in (searched, tmp_path)
    )
    states = (run['rng_state'][0]['torch'] for run in (whole, again))
    assert torch.equal(*states)
    for part in ('state_dict', 'ema_state_dict', 'optimizer'):
        torch.testing.assert_close(
            dict(whole[part]), dict(again[part]), rtol=0, atol=0
        )
    assert metrics(searched) == metrics(tmp_path)
    name = 'searched/architecture.json'
    assert (tmp_path / name).read_text() == (searched / name).read_text()


def test_saved_model_gives_the_logged_metric(data, searched, tmp_path):
    logged = metrics(searched)
    settings = [
        '--cfg-options',
        f'data_root={data}',
        'model.data_preprocessor.size=(32,64)',
    ]
    own_config = searched / 'searched/config.py'
    for config, options in ((CONFIG, settings), (own_config, [])):
        folder = tmp_path / Path(config).stem
        model = searched / 'searched/model.pth'
        checked('tools/test.py', config, model, '--work-dir', folder, *options)
        assert metrics(folder) == logged


def test_model_works_in_mmseg_without_an_extra_step(data, searched):
    from mmseg.apis import inference_model, init_model

    model = init_model(
        str(ROOT / CONFIG), str(searched / 'searched/model.pth'), device='cpu'
    )
    image = cv2.imread(str(next(data.rglob('val/demo/*leftImg8bit.png'))))
    result = inference_model(model, image)
    assert result.pred_sem_seg.data.shape == (1, 32, 64)
    assert model.dataset_meta['classes'][0] == 'road'


def test_get_flops_of_the_searched_network(searched):
    written = json.loads((searched / 'searched/architecture.json').read_text())
    counts = json.loads(
        checked(
            'tools/get_flops.py',
            CONFIG,
            searched / 'searched/model.pth',
            '--shape',
            32,
            64,
            '--json',
        )
    )
    total, parts = counts['total'], counts['parts'].values()
    costs = written['costs']
    assert {name: total[name] for name in costs} == costs
    assert sum(part['macs'] for part in parts) == costs['macs']


def test_pictures_of_the_search(searched, tmp_path):
    for command in ('search', 'architecture', 'pareto'):
        picture = tmp_path / f'{command}.png'
        checked('tools/visualize.py', command, searched, '--out', picture)
        assert cv2.imread(str(picture)).std() > 10
    page = (searched / 'report.html').read_text()
    assert 'mIoU' in page and f'{searched}/searched/config.py' in page


def test_fine_tuning_with_other_classes(data, searched, tmp_path):
    """As with any mmseg checkpoint: the head starts anew, the rest does not.

    With a learning rate of 0, so that what was loaded is what is saved.
    """
    model = searched / 'searched/model.pth'
    printed = checked(
        'tools/train.py', searched / 'searched/config.py',
        '--work-dir', tmp_path, *options(data)[:-5], f'load_from={model}',
        'model.decode_head.num_classes=21', 'train_cfg.max_iters=2',
        'train_cfg.val_interval=2', 'optim_wrapper.optimizer.lr=0',
        'default_hooks.checkpoint.interval=2',
    )  # fmt: skip
    before, after = (
        torch.load(path, weights_only=False)['state_dict']
        for path in (model, tmp_path / 'iter_2.pth')
    )
    assert after['decode_head.conv_seg.weight'].shape[0] == 21
    weights = [n for n in before if n.endswith(('weight', 'bias'))]
    for name in weights:
        if not name.startswith('decode_head'):
            torch.testing.assert_close(after[name], before[name])
    assert 'size mismatch for decode_head.conv_seg.weight' in printed


def test_get_flops_of_the_paper():
    out = checked(
        'tools/get_flops.py',
        CITYSCAPES,
        '--shape',
        512,
        1024,
        '--cfg-options',
        'model.backbone.num_tokens=0',
    )
    total = out.splitlines()[-2]
    assert '61.8366 G' in total and '10.1102 M' in total


def test_missing_data_names_folder_and_remedy():
    result = call(
        'tools/train.py', CONFIG, '--cfg-options', 'data_root=/nowhere'
    )
    assert result.returncode == 2
    assert re.search(
        r"data_root '/nowhere/' does not exist.*"
        r'tools/make_demo_data.py cityscapes',
        result.stderr,
    )


def test_camvid_config_trains_on_the_real_images(shared_data, tmp_path):
    checked(
        'tools/train.py',
        CAMVID,
        '--no-validate',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        f'data_root={shared_data / "camvid"}',
        'train_cfg.max_iters=2',
        'train_dataloader.batch_size=2',
        'custom_hooks.1.begin=0',
        'custom_hooks.1.end=1',
        'custom_hooks.1.calibration_batches=1',
    )
    assert (tmp_path / 'searched/model.pth').exists()


def test_uniform_baseline_is_a_config_to_train(tmp_path):
    out = tmp_path / 'uniform.py'
    checked('tools/uniform_baseline.py', CAMVID, out, '--target', '0.1')
    counts = json.loads(checked('tools/get_flops.py', out, '--json'))
    assert 0.97 * 91_870_000 < counts['total']['macs'] <= 91_870_000
    assert 'ProgressiveShrinkHook' not in out.read_text()
    command = ('tools/uniform_baseline.py', CAMVID, out, '--force')
    result = call(*command, '--target', '9T')
    assert (
        result.returncode == 2 and '--target must be at least' in result.stderr
    )


def test_random_architecture_is_a_config_to_train(tmp_path):
    out = tmp_path / 'random.py'
    command = ('tools/random_architecture.py', CAMVID, out)
    checked(*command, '--target', '90M', '--seed', 3)
    counts = json.loads(checked('tools/get_flops.py', out, '--json'))
    assert 0.97 * 90e6 < counts['total']['macs'] <= 90e6
    written = out.read_text()
    assert call(*command, '--target', '90M').returncode == 2
    checked(*command, '--target', '90M', '--seed', 3, '--force')
    assert out.read_text() == written and 'ShrinkHook' not in written


def test_benchmark_of_the_search(data):
    command = ('tools/benchmark_search.py', CONFIG, '--rounds', 1)
    out = checked(*command, '--shape', 32, 64, '--batch', 2)
    rows = [line for line in out.splitlines() if line.startswith('│')]
    assert [row.split('│')[1].strip() for row in rows] == [
        'training step',
        'penalty as a loss',
        'proximal step',
        'checks',
    ]
    assert all(float(row.split('│')[2]) > 0 for row in rows)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return str(s.getsockname()[1])


def script(name, *args, **environment):
    settings = dict(PYTHON=sys.executable, PORT=free_port())
    return subprocess.run(
        [f'tools/{name}', *map(str, args)],
        cwd=ROOT,
        capture_output=True,
        env={**ENVIRONMENT, **settings, **environment},
        text=True,
    )


def test_two_processes_through_the_launch_script(data, tmp_path):
    work_dir = ('--work-dir', tmp_path)
    result = script('dist_train.sh', CONFIG, 2, *work_dir, *options(data))
    assert result.returncode == 0, result.stderr[-3000:]
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'GPU number: 2' in log and 'Search finished' in log
    model = tmp_path / 'searched/model.pth'
    settings = ('--cfg-options', f'data_root={data}')
    result = script('dist_test.sh', CONFIG, model, 2, *work_dir, *settings)
    assert result.returncode == 0, result.stderr[-3000:]
    assert metrics(tmp_path)['mIoU'] > 0


def test_slurm_script(data, tmp_path):
    """With an srun that starts one task here."""
    srun = tmp_path / 'srun'
    srun.write_text(
        '#!/usr/bin/env bash\n'
        'echo "$@" > "$(dirname "$0")/arguments"\n'
        'while [[ $1 == -* ]]; do [[ $1 == -p ]] && shift; shift; done\n'
        'SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NTASKS=1 exec "$@"\n'
    )
    srun.chmod(0o755)
    work_dir = tmp_path / 'run'
    result = script(
        'slurm_train.sh',
        'gpu',
        'search',
        CONFIG,
        '--work-dir',
        work_dir,
        *options(data),
        PATH=f'{tmp_path}:{os.environ["PATH"]}',
        MASTER_PORT=free_port(),
        GPUS='1',
        GPUS_PER_NODE='1',
        SRUN_ARGS='--qos=low --time=60',
    )
    assert result.returncode == 0, result.stderr[-3000:]
    arguments = (tmp_path / 'arguments').read_text()
    for part in ('-p gpu', '--gres=gpu:1', '--ntasks=1', '--qos=low'):
        assert part in arguments
    assert (work_dir / 'searched/model.pth').exists()


def test_demo_data_is_the_same_for_the_same_seed(data, tmp_path):
    checked(
        'tools/make_demo_data.py',
        'cityscapes',
        tmp_path,
        '--train',
        2,
        '--val',
        0,
        '--size',
        64,
        32,
    )
    for path in tmp_path.rglob('*.png'):
        assert (
            path.read_bytes()
            == (data / path.relative_to(tmp_path)).read_bytes()
        )
    labels = {
        int(v)
        for p in data.rglob('*labelTrainIds.png')
        for v in np.unique(cv2.imread(str(p), 0))
    }
    assert labels == {0, 1, 2, 5, 7, 8, 10, 11, 13}
