"""Checking that an ONNX file computes what its model does."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from ..search.modes import evaluating
from .dense import dense_part
from .ends import NO_ENDS, Ends, WithEnds
from .onnx import INPUT

TOLERANCE = 1e-4  # relative to the largest output
JUMPING = 0.01  # share of maxima that may be elsewhere, of two that are level


def check_onnx(
    path: str, model: nn.Module, images: Tensor, ends: Ends = NO_ENDS
) -> float:
    """Compare an ONNX file with the model that it was exported from.

    Args:
        path: Path of the file, which onnxruntime runs on the CPU.
        model: The model as it was trained.
        images: Input images, shape (B, C, H, W).
        ends: What stands before and after the dense part in the file.

    Returns:
        The largest difference in any output, relative to the largest absolute
        value that the model puts out; of a file that takes the maximum, the
        largest difference of scores, relative to the largest score.

    Raises:
        ValueError: If the difference is above :data:`TOLERANCE`, an output has
            another shape, there is a NaN, or more than one in a hundred maxima
            are elsewhere.
    """
    import onnxruntime  # optional: only deployment needs it

    session = onnxruntime.InferenceSession(
        path, providers=['CPUExecutionProvider']
    )
    found = [
        torch.from_numpy(each).float()
        for each in session.run(None, {INPUT: images.numpy()})
    ]
    dense = deepcopy(dense_part(model)).cpu()
    with torch.no_grad(), evaluating(dense):
        expected = [x.float() for x in WithEnds(dense, ends)(images)]
    theirs, ours = (
        [tuple(each.shape) for each in outputs]
        for outputs in (found, expected)
    )
    if theirs != ours:
        raise ValueError(
            f'the ONNX file has outputs of shapes {theirs}, torch has {ours}'
        )
    if ends.last is not None:  # places first, then scores
        _check_places(found[0], expected[0])
        found, expected = found[1:], expected[1:]
    return _largest_difference(found, expected)


def _check_places(found: Tensor, expected: Tensor) -> None:
    share = (found != expected).float().mean().item()
    if share > JUMPING:
        raise ValueError(
            f'{share:.1%} of the maxima in the ONNX file are others than in '
            f'torch, more than {JUMPING:.0%}'
        )


def _largest_difference(
    found: Sequence[Tensor], expected: Sequence[Tensor]
) -> float:
    """Return the largest difference, relative to the largest output."""
    if not expected:
        return 0.0
    # Unlike Python's, torch's maximum of a NaN is NaN.
    worst, largest = (
        torch.stack([each.abs().max() for each in tensors]).max().item()
        for tensors in ([a - b for a, b in zip(found, expected)], expected)
    )
    worst /= largest or 1.0
    if not worst <= TOLERANCE:
        raise ValueError(
            f'the ONNX file differs from torch by {worst:.2g} of the largest '
            f'output, more than {TOLERANCE}'
        )
    return worst
