"""Checking that an ONNX file computes what its model does."""

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
        value that the model puts out. Of a file that takes the maximum, one
        in a hundred values may be left out, where two are level.

    Raises:
        ValueError: If the difference is above :data:`TOLERANCE`, an output has
            another shape, or there is a NaN.
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
    differences = torch.cat(
        [(a - b).abs().flatten() for a, b in zip(found, expected)]
    )
    # A NaN is above all numbers here.
    spared = JUMPING if ends.last else 0.0
    place = int((1 - spared) * len(differences)) - 1
    worst = differences.sort().values[place].item()
    worst /= max(each.abs().max().item() for each in expected) or 1.0
    if not worst <= TOLERANCE:
        raise ValueError(
            f'the ONNX file differs from torch by {worst:.2g} of the largest '
            f'output, more than {TOLERANCE}'
        )
    return worst
