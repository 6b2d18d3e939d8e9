"""Checkpoints of tensors and plain types, which load without running code.

torch >= 2.6 loads with ``weights_only=True``, but mmengine pickles
HistoryBuffer objects, and then cannot load its own checkpoints.

Upstream: open-mmlab/mmengine#1655. Can be removed when mmengine saves plain
types.
"""

import logging
from typing import Any

import torch
from mmengine.logging import HistoryBuffer

from ..nested import nested_dicts, plain

_PLAIN = (torch.Tensor, torch.Size, torch.dtype, bool, int, float, str, bytes)


def plain_checkpoint_(checkpoint: dict, logger: logging.Logger) -> None:
    """Make a Runner's checkpoint loadable with ``weights_only=True``.

    Entries of other hooks that are neither tensors nor of plain types are
    left out, with a warning that names them: with them the file could not be
    loaded.
    """
    hub = checkpoint.get('message_hub')
    if hub:
        hub['log_scalars'] = {
            name: dict(
                zip(('log', 'count'), map(torch.as_tensor, buffer.data))
            )
            for name, buffer in hub['log_scalars'].items()
            if isinstance(buffer, HistoryBuffer)
        }
    for state in nested_dicts(checkpoint.get('param_schedulers')):
        # OneCycleLR saves a function that its constructor sets anyway.
        for key in [k for k, value in state.items() if callable(value)]:
            del state[key]
    left_out: list[str] = []
    for key, value in checkpoint.items():
        if key != 'state_dict':
            checkpoint[key] = _without_objects(plain(value), key, left_out)
    checkpoint['left_out'] = left_out
    for what in left_out:
        logger.warning(
            f'Checkpoint: {what} is left out: it is neither a tensor nor of '
            'a plain type, and could not be loaded without running code'
        )


def objects_in(value: Any, path: str) -> list[str]:
    """Return descriptions of what a checkpoint with this would not hold.

    Args:
        value: A value to be saved.
        path: What the value is, for the descriptions.
    """
    left_out: list[str] = []
    _without_objects(plain(value), path, left_out)
    return left_out


def _without_objects(value: Any, path: str, left_out: list[str]) -> Any:
    """Return a value without its non-plain items; in lists they become None.

    Args:
        value: A value in a checkpoint.
        path: Keys that lead to the value.
        left_out: Descriptions of what is left out; appended to.
    """
    if isinstance(value, dict):
        found = {
            key: _without_objects(item, f'{path}[{key!r}]', left_out)
            for key, item in value.items()
        }
        return {
            key: item
            for key, item in found.items()
            if item is not None or value[key] is None
        }
    if isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
        items = enumerate(value)
        rest = [
            _without_objects(x, f'{path}[{i}]', left_out) for i, x in items
        ]
        return tuple(rest) if isinstance(value, tuple) else rest
    if value is None or isinstance(value, _PLAIN):
        return value
    left_out.append(f'{path}, of type {type(value).__name__},')
    return None


def restore_checkpoint_(checkpoint: dict) -> None:
    """Undo :func:`plain_checkpoint_`; leave other checkpoints unchanged."""
    hub = checkpoint.get('message_hub')
    if hub:
        hub['log_scalars'] = {
            name: HistoryBuffer(
                saved['log'].cpu().numpy(), saved['count'].cpu().numpy()
            )
            if isinstance(saved, dict)
            else saved
            for name, saved in hub['log_scalars'].items()
        }
