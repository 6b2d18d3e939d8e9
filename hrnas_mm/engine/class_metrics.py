"""The per-class metrics of an evaluation, which frameworks only log."""

import math
from functools import partial, wraps
from typing import Any

from mmengine.runner import Runner

from ..patching import Method, Patch
from ..report.record import ClassMetrics

AREAS = 'total_area_to_metrics'  # a method of IoUMetric


class ClassMetricsRecorder:
    """The per-class metrics of the last evaluation with mmseg's IoUMetric.

    Args:
        runner: The runner, at the start of its training.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner, self._iter = runner, -1
        self._found: dict[str, list[float | None]] = {}
        self._classes: list[str] = []
        self._patches: list[Patch] = []
        if runner.val_loop is None:
            return
        for metric in getattr(runner.val_evaluator, 'metrics', []):
            if hasattr(metric, AREAS):
                wrap = partial(self._noting, metric)
                self._patches.append(Patch(metric, AREAS, wrap))

    def remove(self) -> None:
        """Give the metrics their method back."""
        for patch in self._patches:
            patch.remove()

    def _noting(self, metric: Any, areas: Method) -> Method:
        @wraps(areas)
        def note(*args: Any, **kwargs: Any) -> Any:
            found = areas(*args, **kwargs)
            self._iter = self._runner.iter
            self._classes = list(metric.dataset_meta['classes'])
            self._found = {
                name: [_percent(float(value)) for value in values]
                for name, values in found.items()
                if getattr(values, 'ndim', 0) == 1
            }
            return found

        return note

    def now(self) -> ClassMetrics | None:
        """Return those of the network as it is now; None if there are none."""
        if not self._found or self._iter != self._runner.iter:
            return None
        return ClassMetrics(self._classes, self._found)


def _percent(value: float) -> float | None:
    """Return a metric in percent; None for the NaN of a class in no image."""
    return None if math.isnan(value) else 100 * value
