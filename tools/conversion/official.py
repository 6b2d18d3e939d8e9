"""Convert networks of the authors' code to the names used here.

Source: HR-NAS' released code. A block there has its paths under ``ops``, in
the order of their kernel sizes, the norm of their sum as ``pw_bn`` and the
shortcut as ``residual``; no block has a Transformer.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from hrnas_mm.search import architecture_of
from hrnas_mm.search.architecture import Architecture

# The authors' names outside of blocks, then the endings of ours.
_STEM = re.compile(r'downsamples\.(\d+)\.([01])\.(.*)')
_LAST = re.compile(r'features\.\d+\.final_layer\.([01])\.(.*)')
_CLASSIFIER = re.compile(r'classifier\.(?:1\.)?(weight|bias)')
_CONV_NORM = ('conv', 'norm')
_NO_PLACE = (
    '{} of the released weights has no place in the model of the config'
)
_HEADS = ('decode_head.conv_seg', 'head.final_layer', 'head.fc')


class Block(NamedTuple):
    """The names of a searching block in both models.

    Attributes:
        ours: Name in our model, as in 'backbone.stages.0.fusion.fuse.0.0'.
        theirs: Name in the authors' model, as in 'features.0.fuse_layers.0.0'.
    """

    ours: str
    theirs: str


def blocks_in_order(model: nn.Module) -> list[Block]:
    """Return all searching blocks in the order of the authors' constructor.

    Args:
        model: Model of an HRNASSupernet, and of HRNASFuseScales to classify.

    Raises:
        ValueError: If the backbone is not an HRNASSupernet.
    """
    backbone: Any = getattr(model, 'backbone', None)
    if not hasattr(backbone, 'stages'):
        raise ValueError(
            'model.backbone must be an HRNASSupernet, got '
            f'{type(backbone).__name__}'
        )
    blocks = list(_stage_blocks(backbone))
    if backbone.fuse is not None:
        blocks.append(Block('backbone.fuse', 'transform'))
    head = f'features.{2 * len(backbone.stages)}'
    for ours, neck in model.named_modules():
        if hasattr(neck, 'widen'):
            lists = dict(widen='incre_modules', down='downsamp_modules')
            for name, theirs in lists.items():
                blocks += [
                    Block(f'{ours}.{name}.{i}', f'{head}.{theirs}.{i}')
                    for i in range(len(getattr(neck, name)))
                ]
    return blocks


def _stage_blocks(backbone: Any) -> Iterator[Block]:
    for s, stage in enumerate(backbone.stages):
        ours, fuse = f'backbone.stages.{s}', f'features.{2 * s}.fuse_layers'
        for target, sources in stage.fusion.fuse.items():
            for source in sources:
                # Blocks that change the resolution are in a sequence there.
                inner = '' if source == target else '.0'
                yield Block(
                    f'{ours}.fusion.fuse.{target}.{source}',
                    f'{fuse}.{target}.{source}{inner}',
                )
        if stage.fusion.grow is not None:
            new = len(stage.fusion.fuse)
            yield Block(f'{ours}.fusion.grow', f'{fuse}.{new}.0')
        for branch, sequence in stage.branches.items():
            for i in range(len(sequence)):
                yield Block(
                    f'{ours}.branches.{branch}.{i}',
                    f'features.{2 * s + 1}.branches.{branch}.{i}',
                )


def official_architecture(
    entries: Sequence[Sequence[Any]], model: nn.Module
) -> Architecture:
    """Read the architecture of a released ``checkpoint.json``.

    Args:
        entries: One entry per block, in the order of their construction:
            [out_channels, 1, stride, kernel sizes, channels of each, expand].
        model: The supernet.

    Raises:
        ValueError: If it belongs to another supernet; the error names the
            first misfit.
    """
    blocks = blocks_in_order(model)
    if not isinstance(entries, list):
        raise ValueError(
            'a released architecture must be a list of blocks, got '
            f'{type(entries).__name__}'
        )
    if len(entries) != len(blocks):
        raise ValueError(
            f'the released architecture has {len(entries)} blocks, the model '
            f'of the config has {len(blocks)}'
        )
    found = dict.fromkeys(architecture_of(model), 0)
    for block, entry in zip(blocks, entries):
        out_channels, paths = _read_entry(entry, block)
        _check_block(model.get_submodule(block.ours), block, out_channels)
        for size, count in paths.items():
            name = f'{block.ours}.mixconv.k{size}'
            if name not in found:
                raise ValueError(
                    f'{block.theirs} has a path of kernel size {size}, '
                    f'{block.ours} in the config has none'
                )
            found[name] = count
    return found


def _read_entry(entry: Any, block: Block) -> tuple[int, dict[int, int]]:
    """Return the channels of a block, and of its paths by kernel size."""
    try:
        out_channels, _, _, kernel_sizes, channels, _ = entry
        return out_channels, dict(zip(kernel_sizes, channels, strict=True))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'{block.theirs} must be [out_channels, 1, stride, kernel sizes, '
            f'channels of each, expand], got {entry!r}'
        ) from error


def _check_block(module: Any, block: Block, out_channels: int) -> None:
    ours = len(module.mixconv.norm.bias)
    if ours != out_channels:
        raise ValueError(
            f'{block.theirs} has {out_channels} channels, {block.ours} in the '
            f'config has {ours}'
        )


def convert_state_dict(
    state_dict: Mapping[str, Tensor], model: nn.Module
) -> dict[str, Tensor]:
    """Rename the weights of the authors' network.

    For an empty block the authors keep a norm that is never used; ours has a
    bias there, which is set to 0.

    Args:
        state_dict: State dict of the authors' network.
        model: Supernet that the network belongs to.

    Returns:
        A state dict that the model of the config can load.

    Raises:
        ValueError: If a tensor has no place in the model.
    """
    theirs = {
        name.removeprefix('module.'): tensor
        for name, tensor in state_dict.items()
        if '.bns.' not in name  # for distillation, not part of the network
    }
    converted: dict[str, Tensor] = {}
    for block in blocks_in_order(model):
        prefix = block.theirs + '.'
        own = {
            name[len(prefix) :]: theirs.pop(name)
            for name in list(theirs)
            if name.startswith(prefix)
        }
        module = model.get_submodule(block.ours)
        for name, tensor in _convert_block(own, block, module):
            converted[f'{block.ours}.{name}'] = tensor
    for name, tensor in theirs.items():
        converted[_outside_blocks(name, model)] = tensor
    return converted


def _convert_block(
    own: Mapping[str, Tensor], block: Block, module: nn.Module
) -> Iterator[tuple[str, Tensor]]:
    if 'pw_bn.bias' not in own:
        raise ValueError(f'the released weights have no block {block.theirs}')
    _check_block(module, block, len(own['pw_bn.bias']))
    kernels = {
        name.split('.')[1]: tensor.shape[-1]
        for name, tensor in own.items()
        if re.fullmatch(r'ops\.\d+\.1\.0\.weight', name)
    }
    if module.transformer is not None:
        yield 'transformer.norm.bias', own['pw_bn.bias'] * 0
    for name, tensor in own.items():
        kind, _, rest = name.partition('.')
        if kind == 'ops':
            index, layer, *names = rest.split('.')
            path = f'mixconv.paths.k{kernels[index]}'
            if layer == '2':
                yield f'{path}.project.{names[0]}', tensor
            else:
                part = ('expand', 'depthwise')[int(layer)]
                which, last = _CONV_NORM[int(names[0])], names[1]
                yield f'{path}.{part}.{which}.{last}', tensor
        elif kind == 'residual':
            yield f'shortcut.{rest}', tensor
        elif kind != 'pw_bn':
            raise ValueError(_NO_PLACE.format(f'{block.theirs}.{name}'))
        elif kernels:
            yield f'mixconv.norm.{rest}', tensor
        elif rest == 'bias':
            yield 'mixconv.norm.bias', tensor * 0


def _outside_blocks(name: str, model: nn.Module) -> str:
    """Return our name of a tensor of the stem, the last layer or the head."""
    if match := _STEM.fullmatch(name):
        return (
            f'backbone.stem.{match[1]}.{_CONV_NORM[int(match[2])]}.{match[3]}'
        )
    if match := _LAST.fullmatch(name):
        for ours, neck in model.named_modules():
            if hasattr(neck, 'widen'):
                return f'{ours}.last.{_CONV_NORM[int(match[1])]}.{match[2]}'
    if match := _CLASSIFIER.fullmatch(name):
        names = dict(model.named_parameters())
        for head in _HEADS:
            if f'{head}.{match[1]}' in names:
                return f'{head}.{match[1]}'
    raise ValueError(_NO_PLACE.format(name))


def unused_params(state_dict: Mapping[str, Tensor]) -> int:
    """Count the unused parameters that the released code has in empty blocks.

    These are the scales of their norms; the biases have a place in ours.

    Args:
        state_dict: State dict of the authors' network.
    """
    scales = [name for name in state_dict if name.endswith('.pw_bn.weight')]
    return sum(
        state_dict[name].numel()
        for name in scales
        if not any(
            other.startswith(name.removesuffix('pw_bn.weight') + 'ops.')
            for other in state_dict
        )
    )
