"""What may stand before and after the dense part in an exported file."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..search.modes import evaluating
from .dense import dense_part
from .deployable import tensors_in
from .metadata import Normalisation, normalisation_of

MOST_CLASSES = 256  # of a label map


class Normalise(nn.Module):
    """Normalise images as a model's data_preprocessor does.

    Args:
        normalisation: Mean, std and channel order.
        channels: Number of channels of an image.

    Shape:
        (B, C, H, W), pixels of 0 to 255 as OpenMMLab loads them, in BGR ->
        (B, C, H, W)
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, normalisation: Normalisation, channels: int) -> None:
        super().__init__()
        mean, std, rgb = normalisation
        self.rgb = rgb and channels == 3
        for name, values in (('mean', mean), ('scale', std)):
            tensor = torch.tensor(values).view(-1, 1, 1)
            self.register_buffer(name, tensor)
        self.scale = 1 / self.scale

    def forward(self, image: Tensor) -> Tensor:
        return (self._reordered(image) - self.mean) * self.scale

    def inverse(self, image: Tensor) -> Tensor:
        """Return the pixels of a normalised image."""
        return self._reordered(image / self.scale + self.mean)

    def _reordered(self, image: Tensor) -> Tensor:
        return image.flip(1) if self.rgb else image


class LabelMap(nn.Module):
    """Label every pixel of the image.

    Args:
        size: Height and width of the image.
        align_corners: How the head's maps are resized.
        threshold: Probability above which the only map is class 1, if there
            is only one.

    Shape:
        (B, classes, h, w) -> (B, H, W), 8-bit integers
    """

    names = ('labels',)

    def __init__(
        self,
        size: tuple[int, int],
        align_corners: bool,
        threshold: float = 0.5,
    ) -> None:
        super().__init__()
        self.size, self.align_corners = size, align_corners
        self.threshold = threshold

    def forward(self, logits: Tensor) -> tuple[Tensor]:
        logits = F.interpolate(
            logits,
            self.size,
            mode='bilinear',
            align_corners=self.align_corners,
        )
        if logits.shape[1] == 1:
            labels = (logits.sigmoid() > self.threshold).squeeze(1)
        else:
            labels = logits.argmax(1)
        return (labels.to(torch.uint8),)


class Top1(nn.Module):
    """Take the best class.

    Shape:
        (B, classes) -> class, (B,), and its probability, (B,)
    """

    names = ('label', 'score')

    def forward(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        score, label = logits.softmax(1).max(1)
        return label, score


class Maxima(nn.Module):
    """Take the places of the maxima of heat maps.

    Sub-pixel refinement is left out.

    Args:
        scale: Pixels of the image per step of the maps, along x and y.

    Shape:
        (B, K, h, w), or (B, K, w) and (B, K, h) for x and y -> x and y in the
        image, (B, K, 2), and scores, (B, K)
    """

    names = ('keypoints', 'scores')
    scale: Tensor

    def __init__(self, scale: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer('scale', torch.tensor(scale))

    def forward(self, *maps: Tensor) -> tuple[Tensor, Tensor]:
        if len(maps) == 1:
            score, place = maps[0].flatten(2).max(2)
            width = maps[0].shape[3]
            x, y = place % width, place // width
        else:
            (score_x, x), (score_y, y) = (each.max(2) for each in maps)
            score = torch.minimum(score_x, score_y)
        return torch.stack([x, y], 2) * self.scale, score


class Ends(NamedTuple):
    """Hold what stands before and after the dense part in a file.

    Attributes:
        first: Module that the image goes through; None for a file that takes
            normalised images.
        last: Module that takes the outputs of the heads, and puts out the
            places of maxima first; None for a file that puts out all.
    """

    first: Normalise | None = None
    last: LabelMap | Top1 | Maxima | None = None


NO_ENDS = Ends()


class WithEnds(nn.Module):
    """A dense part between the ends that a file has.

    Args:
        dense: The dense part, deployed or not.
        ends: What stands before and after it.

    Shape:
        (B, C, H, W) -> tensors, one after the other
    """

    def __init__(self, dense: nn.Module, ends: Ends) -> None:
        super().__init__()
        self.dense, self.first, self.last = dense, *ends

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        if self.first is not None:
            image = self.first(image)
        tensors = tensors_in(self.dense(image))
        return tuple(tensors) if self.last is None else self.last(*tensors)


@torch.no_grad()
def ends_of(
    model: nn.Module,
    input_shape: Sequence[int],
    with_normalization: bool,
    argmax: bool,
) -> Ends:
    """Return the ends that a file of a model is to have.

    Args:
        model: Model of any framework.
        input_shape: (C, H, W) of an image.
        with_normalization: Whether the file normalises images.
        argmax: Whether it takes the maximum of what the head puts out.

    Raises:
        ValueError: If the model has no such ends.
    """
    channels, height, width = input_shape
    first = last = None
    if with_normalization:
        if channels not in (1, 3):
            raise ValueError(
                '--with-normalization is for images of 1 or 3 channels, got '
                f'{channels}'
            )
        first = Normalise(normalisation_of(model, channels), channels)
    if argmax:
        image = torch.zeros(1, *input_shape)
        with evaluating(model):
            outputs = tensors_in(dense_part(model)(image))
        last = _last_of(model, outputs, (height, width))
    return Ends(first, last)


def _last_of(
    model: Any, outputs: Sequence[Tensor], size: tuple[int, int]
) -> LabelMap | Top1 | Maxima:
    """Return the module that takes the maximum of what a model puts out."""
    shapes = [tuple(each.shape) for each in outputs]
    dims = [len(shape) for shape in shapes]
    segments: Any = getattr(model, 'decode_head', None)
    head: Any = getattr(model, 'head', None)
    codec = type(getattr(head, 'decoder', None)).__name__
    if hasattr(segments, 'align_corners') and dims == [4]:
        classes = shapes[0][1]
        if classes > MOST_CLASSES:
            raise ValueError(
                f'--argmax puts out labels of 8 bits, for at most '
                f'{MOST_CLASSES} classes, got {classes}'
            )
        threshold = segments.threshold or 0.0  # None with several classes
        return LabelMap(size, segments.align_corners, threshold)
    if codec == 'SimCCLabel' and dims == [3, 3]:
        return Maxima([1 / head.decoder.simcc_split_ratio] * 2)
    if codec == 'MSRAHeatmap' and dims == [4]:
        return Maxima(head.decoder.scale_factor.tolist())
    if is_classifier(model) and dims == [2]:
        return Top1()
    raise ValueError(
        '--argmax is for segmentors, classifiers of one label and pose '
        f'estimators with MSRAHeatmap or SimCCLabel, got '
        f'{type(model).__name__} with outputs of shapes {shapes}'
    )


def is_classifier(model: Any) -> bool:
    """Return whether a model tells the one class of an image."""
    head = getattr(model, 'head', None)
    return hasattr(head, 'num_classes') and not hasattr(head, 'thr')
