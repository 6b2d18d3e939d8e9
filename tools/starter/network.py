"""A stock network to begin a search with, taken from a config."""

import math
import os.path as osp
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from hrnas_mm.cli.config import prepare_config
from hrnas_mm.cli.errors import in_a_line, is_ours
from hrnas_mm.files import naming, read_checkpoint, weights_in
from hrnas_mm.models.arch import prefix_of
from hrnas_mm.registry import MODELS

from .stock_module import SCOPES, module_of, stride_of, suited

# Below this share of what can go in blocks, streams are searched as well.
ENOUGH = 0.6
IMAGENET: dict[str, Any] = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
)
# Of these the size has to be a multiple of the largest stride.
EXACT = ('keypoints', 'lidar_boxes')


@dataclass(frozen=True)
class Network:
    """A stock network, and what a config has to say of it.

    Args:
        module: Config of the backbone.
        imports: Modules that a config has to import for it.
        widths: Which of its channels are searched.
        channels: Channels of each of its maps.
        strides: Strides of its maps.
        pixels: Mean and deviation of the pixels that its weights expect, and
            whether they are red first.
        notes: What was found and assumed, in sentences.
    """

    module: dict[str, Any]
    imports: list[str]
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

    def check_size(self, task: str, size: tuple[int, int]) -> None:
        """Raise ValueError unless the head of a task fits an input size."""
        stride = max(self.strides)
        if task in EXACT and any(side % stride for side in size):
            raise ValueError(
                f'--size must be multiples of {stride} with this network, got '
                f'{" ".join(map(str, size))}'
            )


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
    module = module_of(cfg, path, task)
    try:
        module, maps = suited(module, task)
        model: Any = MODELS.build(
            dict(type='Searchable', module=module, widths='all')
        )
    except Exception as error:
        if is_ours(error):
            raise
        raise ValueError(
            f'--network {path}: its backbone cannot be used for this data: '
            f'{in_a_line(error)}'
        ) from error
    shares = model.selection.shares
    widths = 'blocks' if shares['blocks'] >= ENOUGH else 'all'
    channels = [each.shape[1] for each in maps]
    strides = [stride_of(each) for each in maps]
    notes = [
        f'The network is {type(model).__name__} of {path}: with '
        f'widths={widths!r} a search can remove {shares[widths]:.0%} of its '
        f'multiply-adds. Its head is given maps of {channels} channels at '
        f'strides {strides}.'
    ]
    if weights is not None:
        module['init_cfg'], note = _weights_of(weights, model)
        notes.append(note)
    elif module.get('init_cfg') is None and not module.get('pretrained'):
        notes.append(
            'It begins without pretrained weights: give --weights FILE.'
        )
    pixels = _pixels_of(cfg)
    notes.append(f'Pixels are made what its weights expect: {pixels}.')
    own = cfg.get('custom_imports') or {}
    imports = ['hrnas_mm', *own.get('imports', [])]
    imports = list(dict.fromkeys(imports))
    return Network(module, imports, widths, channels, strides, pixels, notes)


def _pixels_of(cfg: Config) -> dict[str, Any]:
    """Return what the weights of a config expect, else those of ImageNet."""
    own = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    if not own:
        return IMAGENET
    raw = own.get('mean') is None
    return dict(
        mean=[0.0] * 3 if raw else list(own['mean']),
        std=[1.0] * 3 if raw else list(own['std']),
        bgr_to_rgb=bool(own.get('bgr_to_rgb', own.get('to_rgb', False))),
    )


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
    said = f'{path} has {fit} of the {len(own)} tensors'
    said = f'{said} of {type(model).__name__}'
    if 2 * fit < len(own):
        raise ValueError(f'--weights must be of the network, but {said}')
    init_cfg = dict(type='Pretrained', checkpoint=path)
    if prefix:
        # mmengine looks for it before it takes a wrapper's prefix away.
        first = next(iter(checkpoint.get('state_dict', checkpoint)))
        wrapper = 'module.' if first not in found else ''
        init_cfg['prefix'] = wrapper + prefix
    return init_cfg, f'{said}: it begins with these.'
