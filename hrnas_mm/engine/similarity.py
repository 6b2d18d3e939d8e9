"""Similarity of predicted keypoints to the truth (OKS), by their names."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce

from ..report.record import ClassMetrics

SHARE = 0.53  # of a box is its object, where the data does not say; mmpose's


class KeypointSimilarity:
    """The mean similarity of each keypoint that is visible, in percent.

    It is COCO's OKS before its mean over the keypoints of an object. The
    average precision over it is of whole objects, not of one keypoint. Only
    of top-down models on the boxes of the truth: elsewhere it is not known
    which prediction belongs to which object.

    Args:
        metainfo: That of the data set.
    """

    def __init__(self, metainfo: Mapping[str, Any]) -> None:
        names = metainfo.get('keypoint_id2name') or {}
        self._names = [str(names[i]) for i in sorted(names)]
        self._sigmas = torch.as_tensor(metainfo.get('sigmas', ())).double()
        self.restart_()

    def restart_(self) -> None:
        """Forget what was measured."""
        self._sums = torch.zeros(2, len(self._names), dtype=torch.double)

    def measure(self, output: Any) -> None:
        """Measure a sample that the model has evaluated."""
        if len(self._sigmas) != len(self._names) or not self._names:
            return
        truth: Any = getattr(output, 'gt_instances', {})
        found: Any = getattr(output, 'pred_instances', {})
        if 'keypoints' not in truth or 'keypoints' not in found:
            return
        places, predicted = (
            torch.as_tensor(x.keypoints).double().cpu() for x in (truth, found)
        )
        # Boxes that were detected have no annotation, images have several.
        annotation = output.get('raw_ann_info')
        if len(places) != 1 or not isinstance(annotation, Mapping):
            return
        visible = torch.as_tensor(truth.keypoints_visible).cpu() > 0
        area = annotation.get('area') or _area_of_box(truth)
        distances = (places - predicted)[..., :2].square().sum(-1)
        scale = 2 * area * (2 * self._sigmas) ** 2
        similar = torch.exp(-distances / scale)
        self._sums += torch.stack([similar * visible, visible]).sum(1)

    def total(self) -> ClassMetrics | None:
        """Return the mean over all processes; None if nothing was measured."""
        all_reduce(self._sums)
        similar, count = self._sums.tolist()
        if not any(count):
            return None
        means = [100 * a / b if b else None for a, b in zip(similar, count)]
        return ClassMetrics(self._names, dict(OKS=means), 'keypoint')


def _area_of_box(truth: Any) -> float:
    boxes = torch.as_tensor(truth.bboxes)
    return SHARE * float((boxes[0, 2:] - boxes[0, :2]).prod())
