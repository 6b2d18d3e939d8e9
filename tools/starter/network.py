"""A stock network to begin a search with, taken from a config."""

import inspect
import math
import os.path as osp
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from hrnas_mm.cli.config import prepare_config
from hrnas_mm.files import naming, read_checkpoint, weights_in
from hrnas_mm.models.arch import prefix_of
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
MOST_OUTPUTS = 12
# Below this share of what can go in blocks, streams are searched as well.
ENOUGH = 0.6
IMAGENET: dict[str, Any] = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
)


@dataclass(frozen=True)
class Network:
    """A stock network, and what a config has to say of it.

    Args:
        module: Config of the backbone.
        widths: Which of its channels are searched.
        channels: Channels of each of its maps.
        strides: Strides of its maps.
        pixels: Mean and deviation of the pixels that its weights expect, and
            whether they are red first.
        notes: What was found and assumed, in sentences.
    """

    module: dict[str, Any]
    widths: str
    channels: list[int]
    strides: list[int]
    pixels: dict[str, Any]
    notes: list[str]

    @property
    def doublings(self) -> int:
        """Return how often its last map doubles up to stride 4."""
        return max(0, round(math.log2(self.strides[-1] / 4)))

    @property
    def upsampling(self) -> list[float]:
        """Return by how much each map grows up to stride 2."""
        return [s // 2 if s % 2 == 0 else s / 2 for s in self.strides]


def network_of(path: str, task: str, weights: str | None = None) -> Network:
    """Take the backbone of a config, as a task needs it.

    Args:
        path: Config file, or a config of a framework: 'mmseg::hrnet/....py'.
        task: Name of the data's layout.
        weights: Checkpoint whose weights it begins with, of the backbone or
            of a whole model; None for those that the config names.

    Raises:
        ValueError: If nothing of the backbone can be searched, its outputs do
            not suit the task, or the weights are not its own.
    """
    cfg = prepare_config(path)
    init_default_scope(SCOPES[task])
    module = _module_of(cfg, path, task)
    module, maps = _suited(module, task)
    model: Any = MODELS.build(
        dict(type='Searchable', module=module, widths='all')
    )
    share = model.selection.shares['blocks']
    widths = 'blocks' if share >= ENOUGH else 'all'
    name = type(model).__name__
    notes = [
        f'The network is {name} of {path}: with widths={widths!r} a search '
        f'can remove {model.selection.shares[widths]:.0%} of its '
        'multiply-adds.'
    ]
    if weights is not None:
        module['init_cfg'], note = _weights_of(weights, model)
        notes.append(note)
    elif module.get('init_cfg') is None:
        notes.append(
            'It begins without pretrained weights: give --weights FILE.'
        )
    channels = [map.shape[1] for map in maps]
    strides = [_stride(map) for map in maps]
    pixels = _pixels_of(cfg)
    return Network(module, widths, channels, strides, pixels, notes)


def _pixels_of(cfg: Config) -> dict[str, Any]:
    """Return what the weights of a config expect, else those of ImageNet."""
    own = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    if not own or own.get('mean') is None:
        return IMAGENET
    return dict(
        mean=list(own['mean']),
        std=list(own['std']),
        bgr_to_rgb=bool(own.get('bgr_to_rgb', own.get('to_rgb', False))),
    )


def _module_of(cfg: Config, path: str, task: str) -> dict[str, Any]:
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


def _suited(
    module: dict[str, Any], task: str
) -> tuple[dict[str, Any], list[Tensor]]:
    """Return the module with the outputs that a task needs, and its maps."""
    channels = PILLAR_CHANNELS if task == 'lidar_boxes' else 3
    if task in STRIDES:
        module = _with_outputs_at(STRIDES[task], module, channels)
    maps = _maps(module, channels)
    if task in LAST_MAP:
        return module, maps[-1:]
    found = [_stride(map) for map in maps]
    if task == 'boxes' and not set(STRIDES[task]) <= set(found):
        raise ValueError(
            '--network must have maps at strides 8, 16 and 32 for boxes, but '
            f'{module["type"]} has {found}'
        )
    return module, maps


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
        last = {_stride(map): i for i, map in enumerate(maps)}
        indices = tuple(last[stride] for stride in strides if stride in last)
        return {**module, 'out_indices': indices}
    return module


def _built(module: dict[str, Any]) -> nn.Module:
    model: nn.Module = MODELS.build({**module, 'init_cfg': None})
    if any(named_searchables(model)):
        raise ValueError(
            f'--network must be a stock network, but {module["type"]} is a '
            'supernet already'
        )
    return model


def _maps(module: dict[str, Any], channels: int) -> list[Tensor]:
    outputs = run_without_values(_built(module), (channels, SIDE, SIDE))
    if not isinstance(outputs, (list, tuple)) or not all(
        isinstance(map, Tensor) and map.ndim == 4 for map in outputs
    ):
        raise ValueError(
            '--network must put out a tuple of maps, for heads that are not '
            f'its own, but {module["type"]} does not'
        )
    return list(outputs)


def _stride(map: Tensor) -> int:
    return SIDE // map.shape[-1]


def _weights_of(path: str, model: nn.Module) -> tuple[dict[str, Any], str]:
    """Return the init_cfg that loads weights, and what it will load."""
    if not osp.isfile(path):
        raise ValueError(f'--weights must be a file, got {path}')
    own = model.state_dict()
    checkpoint = read_checkpoint(path)
    with naming(path):
        found = weights_in(checkpoint)
    prefix = prefix_of(own, found)
    fit = sum(
        prefix + name in found and found[prefix + name].shape == value.shape
        for name, value in own.items()
    )
    name = type(model).__name__
    said = f'{path} has {fit} of the {len(own)} tensors of {name}'
    if 2 * fit < len(own):
        raise ValueError(f'--weights must be of the network, but {said}')
    init_cfg = dict(type='Pretrained', checkpoint=path)
    if prefix:
        init_cfg['prefix'] = prefix
    return init_cfg, f'{said}: it begins with these.'
