"""A search in every framework, unchanged but for its size, on a CPU.

Each has two branches of the paper's supernet, and a share for a budget;
test_configs.py builds them whole, and finds their budgets within reach.

Each trains through shrinks on generated data, is evaluated by its framework's
own evaluator, resumes, and leaves a model for its framework's own API.
"""

import json
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import torch
from command_line import checked
from kitti import compile_metric, copy_data
from mmengine.registry import DefaultScope

from hrnas_mm.report.record import read_record

ROOT = Path(__file__).parents[2]


class Benchmark(NamedTuple):
    """What of a config is made smaller, and what it has to report.

    Attributes:
        hook: The index of the search among the config's hooks.
        target: A share of the smaller supernet.
    """

    config: str
    layout: str
    options: tuple[str, ...]
    by_epoch: bool
    metric: str
    hook: int
    target: float


Searched = tuple[Benchmark, Path, Path]


STAGES = (
    dict(num_blocks=(1,), num_channels=(12,)),
    dict(num_blocks=(1, 1), num_channels=(12, 24)),
)
PIPELINE = '{}_dataloader.dataset.pipeline.{}'


def seg_size(height: int, width: int) -> tuple[str, ...]:
    return (
        f'{PIPELINE.format("train", 2)}.scale=({width},{height})',
        f'{PIPELINE.format("train", 3)}.crop_size=({height},{width})',
        f'{PIPELINE.format("val", 1)}.scale=({width},{height})',
        f'{PIPELINE.format("test", 1)}.scale=({width},{height})',
        f'model.data_preprocessor.size=({height},{width})',
    )


BENCHMARKS = dict(
    cityscapes=Benchmark(
        'mmseg/hrnas-a_8xb4-40k_cityscapes-512x1024.py',
        'cityscapes',
        (*seg_size(32, 64), 'custom_hooks.1.input_shape=(512,1024)'),
        by_epoch=False,
        metric='mIoU',
        hook=1,
        target=0.3,
    ),
    coco=Benchmark(
        'mmpose/td-hm_hrnas-a_8xb48-210e_coco-256x192.py',
        'coco',
        (),
        by_epoch=True,
        metric='coco/AP',
        hook=2,
        target=0.3,
    ),
    kitti=Benchmark(
        'mmdet3d/pointpillars_hrnas-a_8xb6-80e_kitti-3d-3class.py',
        'kitti',
        (
            # Pillars of eight times the size: a pseudo-image of 62x54.
            'model.data_preprocessor.voxel_layer.voxel_size=1.28,1.28,4',
            'model.voxel_encoder.voxel_size=1.28,1.28,4',
            'model.middle_encoder.output_shape=62,54',
        ),
        by_epoch=True,
        metric='Kitti metric/pred_instances_3d/KITTI/Overall_3D_AP40_easy',
        hook=0,
        target=0.3,
    ),
    imagenet=Benchmark(
        'mmpretrain/hrnas-a_8xb64-350e_in1k.py',
        'imagenet',
        (
            f'{PIPELINE.format("train", 1)}.scale=64',
            f'{PIPELINE.format("val", 1)}.scale=72',
            f'{PIPELINE.format("val", 2)}.crop_size=64',
            'model.neck.0.in_channels=12,24',
            'model.neck.0.mid_channels=24,48',
        ),
        by_epoch=True,
        metric='accuracy/top1',
        hook=1,
        target=0.3,
    ),
    # No benchmark of the paper.
    boxes=Benchmark(
        'mmdet/fcos_hrnas-demo_1xb8-12e_coco-person-192x256.py',
        'coco',
        (
            'model.neck.in_channels=12,24',
            'model.neck.start_level=0',
            'model.bbox_head.strides=4,8,16',
            'param_scheduler.0.end=2',
            'param_scheduler.1.begin=2',
        ),
        by_epoch=True,
        metric='coco/bbox_mAP',
        hook=2,
        target=0.8,  # neck and head are two thirds of this one
    ),
)


def options(benchmark: Benchmark, data: Path) -> list[str]:
    hook = f'custom_hooks.{benchmark.hook}'
    loop = (
        ('max_epochs=4', 'val_interval=2')
        if benchmark.by_epoch
        else ('max_iters=4', 'val_interval=2')
    )
    schedule = (2, 0, 1, 3)
    names: tuple[str, ...]
    names = ('default_hooks.checkpoint.interval', f'{hook}.begin')
    names += (f'{hook}.interval', f'{hook}.end')
    return [
        '--cfg-options',
        f'data_root={data}',
        *(f'train_cfg.{setting}' for setting in loop),
        *(f'{split}_dataloader.num_workers=0' for split in SPLITS),
        *(f'{split}_dataloader.persistent_workers=False' for split in SPLITS),
        'train_dataloader.batch_size=2',
        'val_dataloader.batch_size=1',
        *(f'{name}={value}' for name, value in zip(names, schedule)),
        f'{hook}.by_epoch={benchmark.by_epoch}',
        f'{hook}.warmup=0',
        f'{hook}.calibration_batches=1',
        'default_hooks.logger.interval=1',
        'randomness.seed=0',
        'log_level=ERROR',
        *benchmark.options,
        f'{hook}.target={benchmark.target}',
    ]


SPLITS = ('train', 'val', 'test')


GROUPED = {
    name: pytest.param(name, marks=pytest.mark.xdist_group(name))
    for name in BENCHMARKS
}


@pytest.fixture(params=GROUPED.values())
def searched(
    request: pytest.FixtureRequest, search: Callable[[Benchmark], Searched]
) -> Searched:
    """A benchmark, its data, and the folder of a finished search."""
    benchmark = BENCHMARKS[request.param]
    pytest.importorskip(benchmark.config.split('/')[0])
    return search(benchmark)


@pytest.fixture(scope='session')
def search(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Benchmark], Searched]:
    """Searches a benchmark, once for all its tests."""
    return cache(partial(run_search, tmp_path_factory))


def run_search(
    tmp_path_factory: pytest.TempPathFactory, benchmark: Benchmark
) -> Searched:
    data = tmp_path_factory.mktemp('data')
    work_dir = tmp_path_factory.mktemp(benchmark.layout)
    # Once for all processes that are forked from this one.
    import_module(benchmark.config.split('/')[0] + '.apis')
    if benchmark.layout == 'kitti':
        compile_metric()
        copy_data(data)
    else:
        checked(
            'tools/make_demo_data.py', benchmark.layout, data,
            '--train', 3, '--val', 1,
        )  # fmt: skip
    checked(
        'tools/train.py', config_of(benchmark, data), '--work-dir', work_dir,
        *options(benchmark, data),
    )  # fmt: skip
    return benchmark, data, work_dir


def config_of(benchmark: Benchmark, folder: Path) -> Path:
    """The config of a benchmark, with a smaller supernet."""
    config = ROOT / 'configs' / benchmark.config
    small = folder / config.name
    small.write_text(
        f'_base_ = {str(config)!r}\n'
        f'model = dict(backbone=dict(stages={STAGES}))\n'
    )
    return small


def architecture(work_dir: Path) -> dict[str, Any]:
    return json.loads((work_dir / 'searched/architecture.json').read_text())


def test_meets_its_budget_in_several_shrinks(searched: Searched) -> None:
    benchmark, _, work_dir = searched
    record = read_record(str(work_dir))
    macs = [network.costs['macs'] for network in record.history]
    assert len(macs) == 4 and macs[0] > macs[-2] > macs[-1]
    budget = benchmark.target * macs[0]
    assert 0.97 * budget <= macs[-1] <= budget
    assert architecture(work_dir)['costs'] == record.history[-1].costs


def test_evaluates_with_the_frameworks_own_metric(searched: Searched) -> None:
    benchmark, _, work_dir = searched
    scalars = next(work_dir.glob('*/vis_data/scalars.json')).read_text()
    rows = [json.loads(line) for line in scalars.splitlines()]
    values = [row[benchmark.metric] for row in rows if benchmark.metric in row]
    assert len(values) == 2 and all(np.isfinite(values))


# One per framework whose data and evaluation have a state of their own;
# tests/tools has mmseg's.
@pytest.mark.parametrize(
    'searched',
    [GROUPED[name] for name in ('coco', 'kitti', 'imagenet')],
    indirect=True,
)
def test_resumes_exactly(searched: Searched, tmp_path: Path) -> None:
    benchmark, data, work_dir = searched
    checked(
        'tools/train.py', config_of(benchmark, data),
        '--work-dir', tmp_path, '--resume', work_dir / 'epoch_2.pth',
        '--no-validate', *options(benchmark, data),
    )  # fmt: skip
    assert architecture(tmp_path) == architecture(work_dir)
    states = [
        torch.load(folder / 'epoch_4.pth', weights_only=True)['state_dict']
        for folder in (work_dir, tmp_path)
    ]
    torch.testing.assert_close(*map(dict, states), rtol=0, atol=0)


def test_searched_model_works_in_its_framework(searched: Searched) -> None:
    benchmark, data, work_dir = searched
    files = [
        str(work_dir / 'searched' / f) for f in ('config.py', 'model.pth')
    ]
    framework = benchmark.config.split('/')[0]
    # As in a process of its own, not after another framework's test.
    with DefaultScope.overwrite_default_scope(framework):
        globals()[f'use_{framework}'](data, *files)


def use_mmseg(data: Path, config: str, checkpoint: str) -> None:
    from mmseg.apis import inference_model, init_model

    model = init_model(config, checkpoint, device='cpu')
    result = inference_model(model, np.zeros((64, 64, 3), np.uint8))
    assert result.pred_sem_seg.data.shape == (1, 64, 64)


def use_mmpose(data: Path, config: str, checkpoint: str) -> None:
    from mmpose.apis import inference_topdown, init_model

    model = init_model(config, checkpoint, device='cpu')
    image = cv2.imread(str(next(data.glob('val2017/*.jpg'))))
    boxes = np.array([[0, 0, 100, 150], [50, 20, 200, 180]])
    results = inference_topdown(model, image, boxes)
    assert [r.pred_instances.keypoints.shape for r in results] == [
        (1, 17, 2)
    ] * 2


def use_mmdet3d(data: Path, config: str, checkpoint: str) -> None:
    from mmdet3d.apis import inference_detector, init_model

    model = init_model(config, checkpoint, device='cpu')
    points = next(data.glob('training/velodyne_reduced/*.bin'))
    result, _ = inference_detector(model, str(points))
    assert result.pred_instances_3d.bboxes_3d.tensor.shape[1] == 7


def use_mmdet(data: Path, config: str, checkpoint: str) -> None:
    from mmdet.apis import inference_detector, init_detector

    model = init_detector(config, checkpoint, device='cpu')
    image = str(next(data.glob('val2017/*.jpg')))
    result = inference_detector(model, image)
    assert result.pred_instances.bboxes.shape[1] == 4


def use_mmpretrain(data: Path, config: str, checkpoint: str) -> None:
    from mmpretrain.apis import ImageClassificationInferencer, get_model

    model = get_model(config, pretrained=checkpoint, device='cpu')
    image = str(next(data.glob('val/*/*.JPEG')))
    (result,) = ImageClassificationInferencer(model)(image)
    assert 0 <= result['pred_label'] < 1000
