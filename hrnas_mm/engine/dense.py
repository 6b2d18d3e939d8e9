"""What of a model is counted: the part that maps one image to dense maps."""

import inspect
from collections.abc import Sequence

from torch import Tensor, nn

from ..search import CostModel
from ..search.cost import run_on_meta
from .checks import input_shape_of

DETECTION_HEADS = ('bbox_head', 'rpn_head')
HEADS = (*DETECTION_HEADS, 'head')


class DensePart(nn.Module):
    """Backbone, neck and head of a model, by their own names.

    A detector takes point clouds or proposals, a pose estimator wants its
    data samples with the image. This part takes one tensor: an image, or the
    pseudo-image of PointPillars. What comes before (voxels) and after
    (regions of interest) is not counted, as in the paper.

    Shape:
        (B, C, H, W) -> what the heads put out
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        for name in ('backbone', 'neck', *HEADS):
            part = getattr(model, name, None)
            if part is not None:
                self.add_module(name, part)

    def forward(self, image: Tensor):
        x = self.backbone(image)
        if hasattr(self, 'neck'):
            x = self.neck(x)
        heads = [self._modules[name] for name in HEADS if hasattr(self, name)]
        return [head(x) for head in heads] or x


def dense_part(model: nn.Module) -> nn.Module:
    """The model itself if it takes an image alone, else its dense part."""
    return model if _takes_an_image(model) else DensePart(model)


def _takes_an_image(model: nn.Module) -> bool:
    if any(hasattr(model, name) for name in DETECTION_HEADS):
        return False
    parameters = inspect.signature(model.forward).parameters.values()
    needed = [
        p
        for p in parameters
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    return len(needed) <= 1


def cost_model_of(
    model: nn.Module, shape: Sequence[int] | None = None
) -> CostModel:
    """What a model costs, whatever framework it is from.

    Args:
        model: Has search units.
        shape: See :func:`input_shape_of`.

    Raises:
        ValueError: If the head does not fit the backbone; says what the
            backbone puts out.
    """
    shape = input_shape_of(model, shape)
    try:
        return CostModel(model, shape, dense_part(model))
    except (AssertionError, IndexError, RuntimeError, TypeError) as error:
        raise ValueError(_misfit(model, shape, error)) from error


def _misfit(model: nn.Module, shape: Sequence[int], error: Exception) -> str:
    try:
        maps = run_on_meta(model.backbone, shape)
    except Exception:
        return f'model cannot take an input of {tuple(shape)}: {error}'
    channels = tuple(x.shape[1] for x in maps)
    sizes = tuple(tuple(x.shape[2:]) for x in maps)
    return (
        'in_channels, feat_channels or in_index of the head do not fit '
        f'model.backbone, which puts out {len(maps)} maps of {channels} '
        f'channels, {sizes} pixels, from an input of {tuple(shape)}: {error}'
    )
