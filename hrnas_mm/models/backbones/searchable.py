"""Any stock backbone or neck, whose channels are searched."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...modules.stock import Selection, Widths, searchable_
from ...registry import MODELS, register_in
from ...search.trace import image_channels
from ..arch import searched_
from ..blocks import build_stock

# Sizes of the image that is traced; the first that a model can take.
SIZES = (128, 224, 299, 64, 512)


@register_in(MODELS, name='Searchable')
def searchable(
    module: Mapping[str, Any],
    widths: Widths = 'blocks',
    arch: None | str | Mapping[str, int] = None,
    pretrained: str | None = None,
) -> nn.Module:
    """Make the channels of a stock backbone or neck search units.

    What is built is the stock module: of a class derived from its own, with
    the same names of weights, so that pre-trained ones load. Which channels
    go together is found by following them through one forward pass; what
    another module reads keeps its channels.

    Args:
        module: Config of a backbone, or of a neck that has ``in_channels``.
        widths: 'blocks' for channels that begin and end inside one block;
            'all' also for those that several blocks add up to or concatenate,
            of which CSP networks, STDC and RepVGG consist.
        arch: See :class:`~hrnas_mm.models.HRNASSupernet`.
        pretrained: Path of weights, used if the module has no ``init_cfg``.

    Raises:
        ValueError: If no channels of it can be searched; the error says why.
    """
    model: Any = build_stock(module, pretrained)
    model.selection = _made_searchable_(model, widths)
    searched_(model, arch, plain_weights=True)
    return model


def _made_searchable_(model: nn.Module, widths: Widths) -> Selection:
    problem: Exception | None = None
    for inputs in _inputs(model):
        try:
            return searchable_(model, inputs, widths=widths)
        except ValueError:
            raise
        except Exception as error:
            problem = problem or error
    raise ValueError(
        f'module must be a backbone that is called with one image, or a neck '
        f'with in_channels, whose operators torch can run without values; '
        f'{type(model).__name__} raises {type(problem).__name__}: {problem}'
    ) from problem


def _inputs(model: nn.Module) -> Iterator[Tensor | tuple[Tensor, ...]]:
    """Yield inputs of several sizes: an image, or a neck's maps."""
    channels = getattr(model, 'in_channels', None)
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    for size in SIZES:
        if isinstance(channels, (list, tuple)):
            yield tuple(
                torch.empty(2, n, *[size >> i] * 2, dtype=dtype, device='meta')
                for i, n in enumerate(channels)
            )
        else:
            n = image_channels(model) or 3
            yield torch.empty(2, n, size, size, dtype=dtype, device='meta')
