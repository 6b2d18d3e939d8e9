"""The dense part of a model, which is deployed, timed and counted."""

import inspect
from typing import Any

from torch import Tensor, nn

from ..frameworks import DETECTION_HEADS, HEADS


class DensePart(nn.Module):
    """Backbone, neck and head of a model, under their own names.

    A detector takes point clouds or proposals, a pose estimator needs its
    data samples with the image. This part takes one tensor, an image or the
    pseudo-image of PointPillars, and returns dense maps. What comes before
    (voxels) and after (regions of interest) is not counted, as in the paper.

    Shape:
        (B, C, H, W) -> outputs of the heads
    """

    backbone: nn.Module
    neck: nn.Module

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        for name in ('backbone', 'neck', *HEADS):
            part = getattr(model, name, None)
            if part is not None:
                self.add_module(name, part)

    def forward(self, image: Tensor) -> Any:
        x = self.backbone(image)
        if hasattr(self, 'neck'):
            x = self.neck(x)
        heads = [getattr(self, name) for name in HEADS if hasattr(self, name)]
        return [head(x) for head in heads] or x


def dense_part(model: nn.Module) -> nn.Module:
    """Return the model if it takes only an image, else its dense part."""
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
