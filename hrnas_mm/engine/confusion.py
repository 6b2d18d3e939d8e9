"""Which classes an evaluation confuses, counted from what the model says."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from ..report.record import MAX_CLASSES, Confusion

IGNORED = 255  # the label that frameworks give to what does not count


class ConfusionCounter:
    """Pixels or images of each class, by the class that they are taken for.

    Of any model whose samples have a label map and a predicted one, or one
    label and a predicted one.

    Args:
        classes: Names of the classes.
        metrics: Metrics of the evaluation, which may ignore a label.
    """

    def __init__(self, classes: Sequence[str], metrics: Iterable[Any]) -> None:
        self._classes = list(classes)
        self._ignored = {getattr(m, 'ignore_index', IGNORED) for m in metrics}
        self.restart_()

    def restart_(self) -> None:
        """Forget what was counted."""
        size = len(self._classes) if len(self._classes) <= MAX_CLASSES else 0
        self._counts = torch.zeros(size * size, dtype=torch.long)
        self._unfit = torch.zeros(1, dtype=torch.long)

    def count(self, output: Any) -> None:
        """Count a sample that the model has evaluated."""
        pair = _truth_and_prediction(output)
        if pair is None or not len(self._counts):
            return
        truth, predicted = (labels.flatten().long() for labels in pair)
        if (
            truth.shape != predicted.shape
            or 'gt_label' in output
            and (len(truth) != 1)
        ):  # as of images with several labels
            self._unfit += 1
            return
        size = len(self._classes)
        fits = (truth >= 0) & (truth < size)
        fits &= (predicted >= 0) & (predicted < size)
        for label in self._ignored:
            fits &= truth != label
        pairs = (truth * size + predicted)[fits]
        self._counts += torch.bincount(pairs, minlength=size * size).cpu()

    def total(self) -> Confusion | None:
        """Return the sum over all processes; None if nothing was counted."""
        all_reduce(self._counts)
        all_reduce(self._unfit)
        if self._unfit or not self._counts.any():
            return None
        size = len(self._classes)
        counts = self._counts.reshape(size, size).tolist()
        return Confusion(self._classes, counts)


def _truth_and_prediction(output: Any) -> tuple[Tensor, Tensor] | None:
    if 'gt_sem_seg' in output and 'pred_sem_seg' in output:
        truth, predicted = output.gt_sem_seg.data, output.pred_sem_seg.data
        return truth.to(predicted.device), predicted
    if 'gt_label' in output and 'pred_label' in output:
        return output.gt_label.to(output.pred_label.device), output.pred_label
    return None
