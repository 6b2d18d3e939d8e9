"""Any stock backbone or neck, whose channels are searched."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from ...modules.stock import Selection, Widths, searchable_
from ...registry import MODELS, register_in
from ...search import (
    Ranking,
    architecture_in,
    architecture_of,
    importances,
    shrink_,
)
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

    A network with an ``arch`` begins with weights of its own size, or with
    those of the whole network, by ``init_cfg`` or ``pretrained``: of these,
    with the channels whose scales are the largest.

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
    scope = DefaultScope.get_current_instance()
    again = partial(_built_again, module, widths, scope and scope.scope_name)
    narrow = partial(_narrow_whole_weights_, again)
    model._register_load_state_dict_pre_hook(narrow, True)
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


def _built_again(
    module: Mapping[str, Any], widths: Widths, scope: str | None
) -> nn.Module:
    """Build the whole network another time, wherever that is."""
    with (
        DefaultScope.overwrite_default_scope(scope),
        torch.random.fork_rng(devices=()),
    ):
        model = build_stock(module, None)
        _made_searchable_(model, widths)
    return model


@torch.no_grad()
def _narrow_whole_weights_(
    whole: Callable[[], nn.Module],
    model: nn.Module,
    state_dict: dict[str, Any],
    prefix: str,
    *_: Any,
) -> None:
    """Put the channels that a network keeps in place of whole weights."""
    # Only what mmengine's init_weights loads, which keeps this attribute for
    # as long: any other checkpoint of another size is one of another network.
    if not hasattr(model, '_params_init_info'):
        return
    counts = architecture_of(model)
    try:
        found = architecture_in(state_dict, model, prefix) or counts
    except ValueError:
        return  # what is wrong with them, loading says
    fits = all(found[unit] <= count for unit, count in counts.items())
    if fits and all(counts.values()):
        return
    larger = whole()
    names = [n for n in larger.state_dict() if prefix + n in state_dict]
    if fits and set(names) <= model.state_dict().keys():
        return
    try:
        larger.load_state_dict(
            {name: state_dict[prefix + name] for name in names}, strict=False
        )
    except RuntimeError:
        return  # they are of another size still
    ranking = Ranking.by_threshold(importances([larger]), threshold=0.0)
    shrink_(larger, ranking.best(counts))
    kept = larger.state_dict()
    for name in names:
        del state_dict[prefix + name]
        if name in kept:  # a unit may have lost all of its elements
            state_dict[prefix + name] = kept[name]
    print_log(
        f'{type(model).__name__}: of the weights of the whole network, the '
        'channels with the largest scales are taken',
        'current',
    )


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
