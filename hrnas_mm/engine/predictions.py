"""Draw predictions and the ground truth with the framework's visualizer."""

import os
import os.path as osp
import shutil
import warnings
from typing import Any

import mmcv
import torch
from mmengine.dist import master_only
from mmengine.runner import Runner

from ..frameworks import framework_of
from ..runners import evaluated_model

FOLDER = 'predictions'
COUNT = 4
LARGEST = (960, 960)  # pixels


@master_only
def draw_predictions(runner: Runner) -> None:
    """Write pictures of some evaluated images to ``work_dir/predictions``.

    A framework that cannot draw here, as mmdet3d without open3d, is left in
    peace: these are pictures for the report.
    """
    if runner.val_loop is None:
        return
    draw = getattr(runner.visualizer, framework_of(runner.cfg).draws, None)
    if draw is None:
        return
    # In a work_dir that is used again, they would be of another network.
    shutil.rmtree(osp.join(runner.work_dir, FOLDER), ignore_errors=True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', '.* is out of bounds')
            _draw(runner, draw)
    except Exception as error:
        runner.logger.info(
            'Search: the report has no pictures of predictions: '
            f'{type(error).__name__}: {error}'
        )


@torch.no_grad()
def _draw(runner: Runner, draw: Any) -> None:
    loader: Any = runner.val_dataloader
    model: Any = evaluated_model(runner).eval()
    dataset: Any = loader.dataset
    step = max(1, len(dataset) // COUNT)
    for i in range(0, len(dataset), step)[:COUNT]:
        (output, *_) = model.val_step(loader.collate_fn([dataset[i]]))
        if not hasattr(output, 'img_path'):
            return
        os.makedirs(osp.join(runner.work_dir, FOLDER), exist_ok=True)
        path = osp.join(runner.work_dir, FOLDER, f'{i}.jpg')
        image = mmcv.imread(output.img_path, channel_order='rgb')
        draw(
            name='prediction',
            image=image,
            data_sample=output.cpu(),
            out_file=path,
            show=False,
        )
        if osp.isfile(path):
            mmcv.imwrite(mmcv.imrescale(mmcv.imread(path), LARGEST), path)
