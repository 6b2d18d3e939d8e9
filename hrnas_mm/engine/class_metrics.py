"""The per-class metrics of an evaluation, which frameworks only log."""

import math
import re
from collections.abc import Iterable, Mapping
from functools import partial, wraps
from typing import Any

from ..patching import Method, Patch
from ..report.record import ClassMetrics

AREAS = 'total_area_to_metrics'  # a method of IoUMetric
KITTI = re.compile(r'/([^/]+)_(3D_AP40_(?:easy|moderate|hard))_strict$')
BOXES = 'compute_metrics'  # of CocoMetric, which may do it class by class


class ClassMetricsRecorder:
    """The per-class metrics of an evaluation: mmseg's IoU, mmdet's AP.

    Args:
        metrics: Metrics of the evaluation.
    """

    def __init__(self, metrics: Iterable[Any]) -> None:
        self._found: dict[str, list[float | None]] = {}
        self._classes: list[str] = []
        self._patches: list[Patch] = []
        for metric in metrics:
            if hasattr(metric, AREAS):
                wrap = partial(self._noting_areas, metric)
                self._patches.append(Patch(metric, AREAS, wrap))
            elif hasattr(metric, 'classwise'):
                wrap = partial(self._noting_boxes, metric)
                self._patches.append(Patch(metric, BOXES, wrap))

    def restart_(self) -> None:
        """Forget the metrics of the evaluation before."""
        self._found = {}

    def remove(self) -> None:
        """Give the metrics their method back."""
        for patch in self._patches:
            patch.remove()

    def _noting_areas(self, metric: Any, areas: Method) -> Method:
        @wraps(areas)
        def note(*args: Any, **kwargs: Any) -> Any:
            found = areas(*args, **kwargs)
            self._classes = list(metric.dataset_meta['classes'])
            self._found = {
                name: [_percent(float(value)) for value in values]
                for name, values in found.items()
                if getattr(values, 'ndim', 0) == 1
            }
            return found

        return note

    def _noting_boxes(self, metric: Any, compute: Method) -> Method:
        """Let the metric tell all classes, and only note what is new."""

        @wraps(compute)
        def note(*args: Any, **kwargs: Any) -> Any:
            asked, metric.classwise = metric.classwise, True
            try:
                metrics = compute(*args, **kwargs)
            finally:
                metric.classwise = asked
            self._classes = list(metric.dataset_meta['classes'])
            names = [f'{name}_precision' for name in self._classes]
            found = [metrics.get(name) for name in names]
            if any(value is not None for value in found):
                self._found = dict(AP=[_percent(value) for value in found])
            if not asked:
                metrics = {k: v for k, v in metrics.items() if k not in names}
            return metrics

        return note

    def found(self) -> ClassMetrics | None:
        """Return those of the last evaluation; None if there are none."""
        return (
            ClassMetrics(self._classes, self._found) if self._found else None
        )


def boxes_of_kitti(metrics: Mapping[str, Any]) -> ClassMetrics | None:
    """Return the AP of each class among KITTI's metrics, if they are those."""
    found = [(KITTI.search(name), value) for name, value in metrics.items()]
    shares = {
        (match[1], match[2]): None if math.isnan(value) else float(value)
        for match, value in found
        if match
    }
    classes = list(dict.fromkeys(name for name, _ in shares))
    kinds = dict.fromkeys(kind for _, kind in shares)
    values = {
        kind: [shares.get((name, kind)) for name in classes] for kind in kinds
    }
    return ClassMetrics(classes, values) if classes else None


def _percent(value: float | None) -> float | None:
    """Return a metric in percent; None for the NaN of a class in no image."""
    return None if value is None or math.isnan(value) else 100 * value
