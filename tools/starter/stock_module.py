"""The backbone of a config, with the outputs that a task needs."""

import inspect
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config
from torch import Tensor, nn

from hrnas_mm.registry import MODELS
from hrnas_mm.search.trace import run_without_values
from hrnas_mm.search.units import named_searchables

SCOPES = dict(
    label_maps='mmseg',
    keypoints='mmpose',
    class_folders='mmpretrain',
    boxes='mmdet',
    lidar_boxes='mmdet3d',
)
# Strides of the maps that heads take.
STRIDES = dict(label_maps=(4, 8, 16, 32), boxes=(8, 16, 32))
LAST_MAP = ('keypoints', 'class_folders')  # what their heads take
PILLAR_CHANNELS = 64
SIDE = 256  # of the image with which outputs are looked at
MOST_OUTPUTS = 64


def module_of(cfg: Config, path: str, task: str) -> dict[str, Any]:
    """Return the config of a backbone, as another config can name it.

    Args:
        cfg: Config of a model.
        path: Where it comes from.
        task: Name of the data's layout.
    """
    model = (cfg.get('model') or Config()).to_dict()
    module: dict[str, Any] = model.get('backbone') or {}
    if module.get('type') == 'Searchable':
        module = module['module']
    if not isinstance(module.get('type'), str):
        raise ValueError(
            f'--network must be a config with model.backbone, got {path}'
        )
    scope = cfg.get('default_scope')
    if scope not in (None, SCOPES[task]) and '.' not in module['type']:
        module['type'] = f'{scope}.{module["type"]}'
    if model.get('pretrained') is not None:
        module.setdefault(
            'init_cfg',
            dict(type='Pretrained', checkpoint=model['pretrained']),
        )
    if task == 'lidar_boxes':
        module['in_channels'] = PILLAR_CHANNELS
    return module


def suited(
    module: dict[str, Any], task: str
) -> tuple[dict[str, Any], list[Tensor]]:
    """Return the module with the outputs that a task needs, and its maps."""
    channels = PILLAR_CHANNELS if task == 'lidar_boxes' else 3
    if task in STRIDES:
        module = _with_outputs_at(STRIDES[task], module, channels)
    maps = _maps(module, channels)
    if task in LAST_MAP:
        return module, maps[-1:]
    found = [stride_of(each) for each in maps]
    if task == 'boxes' and not set(STRIDES[task]) <= set(found):
        raise ValueError(
            '--network must have maps at strides 8, 16 and 32 for boxes, but '
            f'{module["type"]} has {found}'
        )
    return module, maps


def stride_of(map_: Tensor) -> int:
    """Return the stride of a map of :func:`suited`."""
    return SIDE // map_.shape[-1]


def _with_outputs_at(
    strides: Sequence[int], module: dict[str, Any], channels: int
) -> dict[str, Any]:
    """Return the module with its last output at each stride, if it can."""
    kind = type(_built(module))
    if 'out_indices' not in inspect.signature(kind).parameters:
        return module
    for count in range(MOST_OUTPUTS, 0, -1):
        whole = {**module, 'out_indices': tuple(range(count))}
        try:
            maps = _maps(whole, channels)
        except Exception:
            continue  # it has fewer outputs
        last = {stride_of(each): i for i, each in enumerate(maps)}
        indices = tuple(last[stride] for stride in strides if stride in last)
        return {**module, 'out_indices': indices}
    return module


def _built(module: dict[str, Any]) -> nn.Module:
    plain = {key: value for key, value in module.items() if key != 'init_cfg'}
    model: nn.Module = MODELS.build(plain)
    if any(named_searchables(model)):
        raise ValueError(
            f'--network must be a stock network, but {module["type"]} is a '
            'supernet already'
        )
    return model


def _maps(module: dict[str, Any], channels: int) -> list[Tensor]:
    outputs = run_without_values(_built(module), (channels, SIDE, SIDE))
    if not isinstance(outputs, (list, tuple)) or not all(
        isinstance(each, Tensor) and each.ndim == 4 for each in outputs
    ):
        raise ValueError(
            '--network must put out a tuple of maps, for heads that are not '
            f'its own, but {module["type"]} does not'
        )
    return list(outputs)
