"""Work-arounds for upstream versions; each says what for, and until when."""

import os
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


def plain_checkpoint_(checkpoint: dict) -> None:
    """Make a Runner's checkpoint loadable with ``weights_only=True``.

    torch >= 2.6 loads with ``weights_only=True``, but mmengine pickles
    HistoryBuffer objects, and then cannot load any checkpoint of its own.
    Tensors and plain types instead also mean that loading runs no code.

    Upstream: open-mmlab/mmengine#1655. Can go when mmengine saves plain types.
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
        hub['runtime_info'] = plain(hub['runtime_info'])
    checkpoint['meta'] = plain(checkpoint['meta'])


def restore_checkpoint_(checkpoint: dict) -> None:
    """Undo :func:`plain_checkpoint_`; leaves any other checkpoint alone."""
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


def plain(value: Any) -> Any:
    """Turn numpy values, also inside containers, into lists and numbers."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return value


def enlarge_onednn_cache() -> None:
    """Let oneDNN keep the kernels of all convolutions of a supernet.

    It compiles a kernel per shape and keeps 1024 of them; forward and
    backward of one supernet need more, and every step then compiles them all
    again: on two cores a training step took 1.6 to 2.2 times as long. Takes
    effect before the first convolution; a value set by the user stays.

    Upstream: uxlfoundation/oneDNN, ONEDNN_PRIMITIVE_CACHE_CAPACITY. Can go
    when its default grows.
    """
    os.environ.setdefault('ONEDNN_PRIMITIVE_CACHE_CAPACITY', '16384')
