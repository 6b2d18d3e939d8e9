"""The options of the frameworks' own test.py, set in a config."""

import os.path as osp
from dataclasses import dataclass
from importlib.util import find_spec

from mmengine.config import Config, ConfigDict

PICKLES = ('.pkl', '.pickle')
VISUALIZER = dict(
    type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')]
)
FIGURES = ('.json', '.yaml', '.yml', *PICKLES)


@dataclass(frozen=True)
class Options:
    """How a framework is told to draw and to write what it predicts.

    Args:
        hook: Type of its visualization hook.
        switch: Option of this hook that makes it draw.
        folder: Option of the hook for the folder; '' if that is the
            visualizer's ``save_dir``.
        dumps: Type of the metric that writes predictions to a pickle file; ''
            if ``--out`` is something else.
    """

    hook: str
    switch: str = 'draw'
    folder: str = 'test_out_dir'
    dumps: str = 'DumpResults'


FRAMEWORKS = dict(
    mmseg=Options('SegVisualizationHook', folder='', dumps=''),
    mmdet=Options('DetVisualizationHook', dumps='DumpDetResults'),
    mmdet3d=Options('Det3DVisualizationHook'),
    mmpose=Options('PoseVisualizationHook', 'enable', 'out_dir', dumps=''),
    mmpretrain=Options('VisualizationHook', 'enable', 'out_dir'),
)


def _options(cfg: Config, argument: str) -> Options:
    scope = cfg.get('default_scope')
    if scope not in FRAMEWORKS:
        raise ValueError(
            f'{argument} needs a config whose default_scope is one of '
            f'{", ".join(FRAMEWORKS)}, got {scope}'
        )
    return FRAMEWORKS[scope]


def draw_into_(cfg: Config, folder: str) -> None:
    """Let the visualization hook draw every image into a folder.

    Raises:
        ModuleNotFoundError: If the framework needs a package for it that is
            not installed.
        ValueError: If the config is of no known framework.
    """
    options = _options(cfg, '--show-dir')
    hooks = cfg.setdefault('default_hooks', ConfigDict())
    hook = hooks.get('visualization') or ConfigDict(type=options.hook)
    hooks.visualization = hook
    hook.update({options.switch: True, 'interval': 1})
    if cfg.default_scope == 'mmdet3d':
        if find_spec('open3d') is None:
            raise ModuleNotFoundError(
                '--show-dir needs open3d, which is not installed: '
                'pip install open3d'
            )
        hook.setdefault('vis_task', 'lidar_det')
    # Absolute, else hooks join it to the work_dir once more for every image.
    if options.folder:
        hook[options.folder] = osp.abspath(folder)
    else:
        visualizer = cfg.setdefault('visualizer', ConfigDict(VISUALIZER))
        visualizer.save_dir = osp.abspath(folder)


def augment_(cfg: Config) -> None:
    """Evaluate with test-time augmentation, as the config describes it.

    Raises:
        ValueError: If the config does not describe it.
    """
    for name in ('tta_model', 'tta_pipeline'):
        if not cfg.get(name):
            raise ValueError(f'--tta needs {name} in the config, got none')
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    dataset.pipeline = cfg.tta_pipeline


def write_to_(cfg: Config, out: str) -> None:
    """Let predictions be written; mmpose's ``--out`` is for the metrics.

    Raises:
        ValueError: If the name does not fit what is written.
    """
    dumps, scope = _options(cfg, '--out').dumps, cfg.default_scope
    metrics = cfg.test_evaluator
    metrics = metrics if isinstance(metrics, (list, tuple)) else [metrics]
    if scope == 'mmseg':
        for metric in metrics:
            metric.output_dir = osp.abspath(out)
        return
    endings = FIGURES if scope == 'mmpose' else PICKLES
    if not out.endswith(endings):
        raise ValueError(
            f'--out must end in one of {", ".join(endings)}, got {out}'
        )
    if dumps:
        dumping = dict(type=dumps, out_file_path=osp.abspath(out))
        cfg.test_evaluator = [*metrics, dumping]
