"""Networks that a command line names: CONFIG[:CHECKPOINT]."""

import os.path as osp
import re
from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from ..building import build_model, load_network
from ..deploy import dense_part, input_shape_of
from ..search import trace
from ..search_in_config import search_shape
from .config import prepare_config


class Candidate(NamedTuple):
    """A model, and what it costs.

    Attributes:
        name: Name of the config and of the checkpoint.
        model: Model in eval mode.
        shape: (C, H, W) of its input.
        macs: Multiply-adds at the shape; None if torch cannot count them.
    """

    name: str
    model: nn.Module
    shape: tuple[int, ...]
    macs: int | None


def candidate(text: str, shape: Sequence[int] | None) -> Candidate:
    """Load CONFIG[:CHECKPOINT]; CONFIG may have a framework's two colons.

    Args:
        text: Config, and checkpoint if the weights matter.
        shape: See :func:`load_candidate`.

    Raises:
        ValueError: If the text has another form, or see there.
    """
    match = re.fullmatch(r'(.+?\.py)(?::(.+))?', text)
    if match is None:
        raise ValueError(
            f'a model must be CONFIG.py or CONFIG.py:CHECKPOINT, got {text!r}'
        )
    path, checkpoint = match.groups()
    return load_candidate(path, checkpoint, shape)


def load_candidate(
    path: str, checkpoint: str | None, shape: Sequence[int] | None
) -> Candidate:
    """Load a network, and count what it costs.

    Args:
        path: Its config.
        checkpoint: Its weights, if they matter.
        shape: (H, W) or (C, H, W); None for the config's own.

    Raises:
        ValueError: If its dense part cannot run on an image alone.
    """
    cfg = prepare_config(path)
    model = load_network(cfg, checkpoint) if checkpoint else build_model(cfg)
    shape = input_shape_of(model, shape or search_shape(cfg))
    try:
        macs = trace(dense_part(model), shape).macs['']
    except RuntimeError:  # no meta kernel
        macs = None
    except (AssertionError, IndexError, TypeError) as error:
        raise ValueError(
            f'{path} must have a backbone, and a head that takes nothing but '
            f'its maps, for an image of {tuple(shape)}: {error}'
        ) from error
    name = osp.splitext(osp.basename(path))[0]
    if checkpoint:
        name += ':' + '/'.join(osp.abspath(checkpoint).split('/')[-2:])
    return Candidate(name, model.eval(), shape, macs)
