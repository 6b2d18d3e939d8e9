"""Models of the frameworks whose dense part is an exported file."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from ..deploy import dense_part
from ..deploy.deployable import tensors_in
from ..deploy.ends import LabelMap, Maxima, Normalise, Top1
from ..deploy.metadata import normalisation_of
from ..frameworks import DETECTION_HEADS, OTHER_HEADS
from ..patching import Method, Patch
from ..search.modes import evaluating
from .file_facts import Facts, read_facts
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
    head, name = _last_head(model)
    facts = read_facts(path)
    facts.check_runtime(runtime.name)
    outputs = _outputs_of(head, model, facts)
    file = (
        _FileOfMaps(facts, runtime, outputs, head.align_corners)
        if name == SEGMENTS
        else _File(facts, runtime, outputs, fills=name in DETECTION_HEADS)
    )
    if facts.takes_pixels:
        channels = facts.shape[0]
        file.undo = Normalise(normalisation_of(model, channels), channels).to(
            next(model.parameters()).device
        )
    model.backbone = _PassOn()
    if getattr(model, 'neck', None) is not None:
        model.neck = nn.Identity()
    head.forward = file


def _last_head(model: nn.Module) -> tuple[Any, str]:
    """Return the head that ends the dense part, and its name."""
    names = [n for n in LAST_HEADS if hasattr(model, n)]
    head = model.get_submodule(names[0]) if len(names) == 1 else None
    if (
        head is None
        or isinstance(head, nn.ModuleList)
        # What else reads feature maps would be given the image.
        or any(hasattr(model, each) for each in ('roi_head', 'mask_head'))
        or any(hasattr(m, 'predict') for m in head.modules() if m is not head)
    ):
        raise ValueError(
            'a file can be evaluated of a model with one head that takes '
            f'feature maps, and has no heads in it, got {type(model).__name__}'
        )
    return head, names[0]


class _PassOn(nn.Module):
    """A backbone that passes the image on to the head."""

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return (image,)


@torch.no_grad()
def _outputs_of(head: nn.Module, model: nn.Module, facts: Facts) -> Any:
    """Return what a head returns in the dense part of its model."""
    returned: list[Any] = []

    def remembering(forward: Method) -> Method:
        def remember(*args: Any, **kwargs: Any) -> Any:
            returned.append(forward(*args, **kwargs))
            return returned[-1]

        return remember

    device = next(model.parameters()).device
    patch = Patch(head, 'forward', remembering)  # mmseg's skip torch's hooks
    try:
        with evaluating(model):
            dense = dense_part(model)(
                torch.zeros(1, *facts.shape, device=device)
            )
    except RuntimeError as error:
        raise ValueError(
            f'{facts.path} reads images of {_text(facts.shape)}, which the '
            f'model of the config does not take: {error}'
        ) from error
    finally:
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
        facts: The file.
        runtime: What runs it.
        outputs: What the head returns; the file's outputs are its tensors.
        fills: Whether smaller images are filled up with zeros.

    Attributes:
        undo: Normalisation to undo, if the file does that itself.

    Raises:
        ValueError: If the file has other outputs.
    """

    undo: Normalise | None = None

    def __init__(
        self, facts: Facts, runtime: Runtime, outputs: Any, fills: bool
    ) -> None:
        self.facts, self.fills = facts, fills
        self.leaves, self.spec = tree_flatten(outputs)
        theirs = [*facts.outputs.values()]
        ours = [tuple(x.shape[1:]) for x in tensors_in(self.leaves)]
        if not self.fits(theirs, ours):
            advice = ''
            if tuple(facts.outputs) in (Top1.names, Maxima.names):
                advice = ': of files made with --argmax, only label maps can'
            raise ValueError(
                f'{facts.path} has outputs of shapes {theirs}, the head of '
                f'the config returns {ours}{advice}'
            )
        self.session = runtime.session(facts.content)

    def fits(
        self, theirs: Sequence[Sequence[int]], ours: Sequence[Sequence[int]]
    ) -> bool:
        """Return whether outputs of the file's shapes are the head's."""
        return len(theirs) == len(ours) and all(
            len(a) == len(b) and all(m in (0, n) for m, n in zip(a, b))
            for a, b in zip(theirs, ours)
        )

    def __call__(self, maps: Any, *args: Any, **kwargs: Any) -> Any:
        """Return what the head would, for the image in a tuple."""
        (image,) = maps
        images = self._filled(image)
        if self.undo is not None:
            images = self.undo.inverse(images)
        results = [
            self.session(each.contiguous())
            for each in images.split(self.facts.batch or len(images))
        ]
        tensors = (torch.cat(x).to(image.device) for x in zip(*results))
        return tree_unflatten(
            [None if x is None else next(tensors) for x in self.leaves],
            self.spec,
        )

    def _filled(self, image: Tensor) -> Tensor:
        """Return an image of the size that the file reads."""
        path, own = self.facts.path, self.facts.shape
        shape = tuple(image.shape[1:])
        missing = [most - size for most, size in zip(own, shape)]
        if missing[0] == 0 and self.fills and min(missing) >= 0:
            return F.pad(image, (0, missing[2], 0, missing[1]))
        if any(missing):
            sizes = zip(own, shape) if self.fills else zip(shape, shape)
            _, height, width = map(max, sizes)
            raise ValueError(
                f'{path} reads images of {_text(own)}, and the test pipeline '
                f'has made one of {_text(shape)}: export the file with '
                f'--shape {height} {width}, or let the test pipeline resize'
            )
        return image


class _FileOfMaps(_File):
    """A file that puts out a map of the image, which may be filled up.

    Args:
        facts, runtime, outputs: See :class:`_File`.
        align_corners: How the head's maps are resized.
    """

    def __init__(
        self, facts: Facts, runtime: Runtime, outputs: Any, align_corners: bool
    ) -> None:
        self.has_labels = tuple(facts.outputs) == LabelMap.names
        super().__init__(facts, runtime, outputs, fills=True)
        self.align_corners = align_corners

    def fits(
        self, theirs: Sequence[Sequence[int]], ours: Sequence[Sequence[int]]
    ) -> bool:
        """Return whether the file has one map of the head's classes."""
        if list(map(len, ours)) != [3]:
            return False
        return self.has_labels or super().fits(theirs, ours)

    def __call__(self, maps: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the part of the map that belongs to the image."""
        (image,) = maps
        height, width = image.shape[2:]
        found = super().__call__(maps)
        if self.has_labels:
            return self._logits(found)[..., :height, :width]
        if (height, width) == self.facts.shape[1:]:
            return found
        found = F.interpolate(
            found,
            self.facts.shape[1:],
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
