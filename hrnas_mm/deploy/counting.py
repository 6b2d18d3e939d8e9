"""Cost models of models of any framework."""

import re
from collections.abc import Sequence

from torch import nn

from ..search import CostModel
from ..search.trace import image_channels, run_without_values
from ..search.units import join
from .dense import dense_part

# What torch says of tensors whose shapes do not fit.
MISFIT = re.compile('channels|shape|size|dimension')


def input_shape_of(
    model: nn.Module, shape: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Return (C, H, W) of the image for which multiply-adds are counted.

    Args:
        model: Model that supplies what ``shape`` leaves open.
        shape: (C, H, W), (H, W), or None for ``data_preprocessor.size``.

    Raises:
        ValueError: If height and width are neither given nor in the model,
            or are invalid.
    """
    shape = shape or getattr(
        getattr(model, 'data_preprocessor', None), 'size', None
    )
    if shape is None:
        raise ValueError(
            'input_shape must be given as (H, W) or (C, H, W): the model has '
            'no data_preprocessor.size to take it from'
        )
    sizes = list(shape) if isinstance(shape, Sequence) else [shape]
    if len(sizes) not in (2, 3) or not all(
        isinstance(size, int) and size >= 1 for size in sizes
    ):
        raise ValueError(
            'the input shape must be H W or C H W, whole numbers of at least '
            f'1, got {" ".join(map(str, sizes))}'
        )
    if len(shape) == 3:
        return tuple(shape)
    return (image_channels(getattr(model, 'backbone', model)) or 3, *shape)


def stage_names(model: nn.Module) -> list[str]:
    """Return the names of a model's children and of a supernet's stages."""
    names = []
    for name, child in model.named_children():
        if not hasattr(child, 'stages'):
            names.append(name)
            continue
        for part, module in child.named_children():
            several = part == 'stages'
            inner = (
                [n for n, _ in module.named_children()] if several else ['']
            )
            names += [join(f'{name}.{part}', each) for each in inner]
    return names


def cost_model_of(
    model: nn.Module, shape: Sequence[int] | None = None
) -> CostModel:
    """Return the cost model of a model of any framework.

    Args:
        model: Model with search units.
        shape: See :func:`input_shape_of`.

    Raises:
        ValueError: If the head does not fit the backbone; the error says
            which outputs the backbone has.
    """
    shape = input_shape_of(model, shape)
    try:
        return CostModel(model, shape, traced=dense_part(model))
    except (AssertionError, IndexError, RuntimeError, TypeError) as error:
        raise ValueError(_misfit(model, shape, error)) from error


def _misfit(model: nn.Module, shape: Sequence[int], error: Exception) -> str:
    try:
        maps = run_without_values(model.get_submodule('backbone'), shape)
    except Exception:
        return f'model cannot take an input of {tuple(shape)}: {error}'
    channels = tuple(x.shape[1] for x in maps)
    sizes = tuple(tuple(x.shape[2:]) for x in maps)
    problem = 'in_channels, feat_channels or in_index of the head do not fit'
    if isinstance(error, RuntimeError) and not MISFIT.search(str(error)):
        problem = 'the neck or the head cannot run on the output of'
    return (
        f'{problem} model.backbone, which puts out {len(maps)} maps of '
        f'{channels} channels, {sizes} pixels, from an input of '
        f'{tuple(shape)}: {error}'
    )
