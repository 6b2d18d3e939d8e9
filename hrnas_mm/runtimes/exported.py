"""Models of the frameworks whose dense part is an exported file."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from ..deploy import dense_part
from ..deploy.deployable import tensors_in
from ..deploy.ends import Normalise
from ..deploy.metadata import NORMALISES, normalisation_of
from ..frameworks import DETECTION_HEADS, OTHER_HEADS
from ..patching import Method, Patch
from ..search.modes import evaluating
from .runtime import Runtime

SEGMENTS, CERTAIN = 'decode_head', 10.0  # a logit
# Heads whose forward pass is the last of the dense part.
LAST_HEADS = (SEGMENTS, *OTHER_HEADS, *DETECTION_HEADS)


def predict_by_file_(model: Any, path: str, runtime: Runtime) -> None:
    """Let a model predict by an exported file in place of its dense part.

    What comes before, such as its data_preprocessor, and after, such as its
    post-processing, stays. The weights of the model are not used. Smaller
    images than the file reads are filled up with zeros, on the right and
    below, where that makes sense: of a detector or a segmentor.

    Args:
        model: Model of any framework that was exported; it is changed.
        path: Path of the ONNX file.
        runtime: What runs the file, on the CPU.

    Raises:
        ValueError: If the file cannot take the place of the dense part.
    """
    name = _last_head(model)
    head: Any = model.get_submodule(name)
    file = (
        _FileOfMaps(path, runtime, head.align_corners)
        if name == SEGMENTS
        else _File(path, runtime, fills=name in DETECTION_HEADS)
    )
    file.fit_(_outputs_of(head, model, file.shape))
    first = None
    if file.takes_pixels:
        first = Normalise(normalisation_of(model, file.shape[0])).to(
            next(model.parameters()).device
        )
    model.backbone = _PassOn(first)
    if getattr(model, 'neck', None) is not None:
        model.neck = nn.Identity()
    head.forward = file


def _last_head(model: nn.Module) -> str:
    """Return the name of the head that ends the dense part."""
    heads = [n for n in LAST_HEADS if hasattr(model, n)]
    if len(heads) != 1 or hasattr(model, 'roi_head'):
        raise ValueError(
            'a file can be evaluated of a model with one head that takes '
            f'feature maps, got {type(model).__name__}'
        )
    return heads[0]


class _PassOn(nn.Module):
    """A backbone that passes the image on to the head.

    Args:
        normalise: What the file does to pixels itself, if anything: the
            data_preprocessor's normalisation is undone then.
    """

    def __init__(self, normalise: Normalise | None) -> None:
        super().__init__()
        self.normalise = normalise

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        if self.normalise is not None:
            image = self.normalise.inverse(image)
        return (image,)


@torch.no_grad()
def _outputs_of(
    head: nn.Module, model: nn.Module, input_shape: Sequence[int]
) -> Any:
    """Return what a head returns in the dense part of its model."""
    returned: list[Any] = []

    def remembering(forward: Method) -> Method:
        def remember(*args: Any, **kwargs: Any) -> Any:
            returned.append(forward(*args, **kwargs))
            return returned[-1]

        return remember

    patch = Patch(head, 'forward', remembering)  # mmseg's skip torch's hooks
    device = next(model.parameters()).device
    with evaluating(model):
        dense = dense_part(model)(torch.zeros(1, *input_shape, device=device))
    patch.remove()
    ids = [[id(x) for x in tensors_in(out)] for out in (returned, dense)]
    if ids[0] != ids[1]:
        raise ValueError(
            'a file can be evaluated of a model whose head returns what is '
            f'exported; that of {type(model).__name__} does not'
        )
    return returned[0]


class _File:
    """An exported file, called as the head that ends a dense part.

    Args:
        path: Path of the ONNX file.
        runtime: What runs it.
        fills: Whether smaller images are filled up with zeros.

    Attributes:
        shape: (C, H, W) of the images that it reads.
    """

    def __init__(self, path: str, runtime: Runtime, fills: bool) -> None:
        import onnx  # optional: only deployment needs it

        with open(path, 'rb') as file:
            content = file.read()
        file_model = onnx.load_from_string(content)
        graph = file_model.graph
        keys = {each.key for each in file_model.metadata_props}
        self.takes_pixels = NORMALISES in keys
        self.path, self.fills = path, fills
        dims = graph.input[0].type.tensor_type.shape.dim
        self.batch, *self.shape = (dim.dim_value for dim in dims)
        self.count = len(graph.output)
        self.session = runtime.session(content)

    def fit_(self, outputs: Any) -> None:
        """Return tensors nested as in some outputs from now on.

        Raises:
            ValueError: If they have another number of tensors.
        """
        self.leaves, self.spec = tree_flatten(outputs)
        expected = len(tensors_in(self.leaves))
        if self.count != expected:
            raise ValueError(
                f'{self.path} has {self.count} outputs, the head of the '
                f'config returns {expected} tensors'
            )

    def __call__(self, maps: Any, *args: Any, **kwargs: Any) -> Any:
        """Return what the head would, for the image in a tuple."""
        (image,) = maps
        images = self._filled(image).split(self.batch or len(image))
        results = [self.session(each.contiguous()) for each in images]
        tensors = (torch.cat(x).to(image.device) for x in zip(*results))
        return tree_unflatten(
            [None if x is None else next(tensors) for x in self.leaves],
            self.spec,
        )

    def _filled(self, image: Tensor) -> Tensor:
        """Return an image of the size that the file reads."""
        shape = image.shape[1:]
        channels, height, width = (
            most - size for most, size in zip(self.shape, shape)
        )
        if self.fills and channels == 0 and min(height, width) >= 0:
            return F.pad(image, (0, width, 0, height))
        if any((channels, height, width)):
            raise ValueError(
                f'{self.path} reads images of {_text(self.shape)}, the '
                f"config's test data has one of {_text(shape)}: export the "
                f'file with --shape {shape[1]} {shape[2]}, or let the test '
                'pipeline resize'
            )
        return image


class _FileOfMaps(_File):
    """A file that puts out a map of the image, which may be filled up.

    Args:
        path: Path of the ONNX file.
        runtime: What runs it.
        align_corners: How the head's maps are resized.
    """

    def __init__(
        self, path: str, runtime: Runtime, align_corners: bool
    ) -> None:
        super().__init__(path, runtime, fills=True)
        self.align_corners = align_corners

    def __call__(self, maps: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the part of the map that belongs to the image."""
        (image,) = maps
        height, width = image.shape[2:]
        found = super().__call__(maps)
        if found.dtype is torch.uint8:  # labels
            return self._logits(found)[..., :height, :width]
        if [height, width] == self.shape[1:]:
            return found
        found = F.interpolate(
            found,
            tuple(self.shape[1:]),
            mode='bilinear',
            align_corners=self.align_corners,
        )
        return found[..., :height, :width]

    def _logits(self, labels: Tensor) -> Tensor:
        """Return logits whose maxima are some labels."""
        (logits,) = self.leaves
        classes = logits.shape[1]
        if classes == 1:
            return CERTAIN * (2.0 * labels[:, None] - 1)
        return F.one_hot(labels.long(), classes).permute(0, 3, 1, 2).float()


def _text(shape: Sequence[int]) -> str:
    return 'x'.join(map(str, shape))
