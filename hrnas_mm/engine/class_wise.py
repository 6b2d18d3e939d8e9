"""Keep an evaluation's metrics by class, which frameworks only log."""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

from mmengine.runner import Runner

from .tables import Table

MOST_CLASSES = 200


class ClassWise:
    """The last evaluation's metrics by class, of mmseg's IoUMetric.

    Args:
        runner: At the start of its training.
    """

    def __init__(self, runner: Runner) -> None:
        self._found: dict[str, list[float]] = {}
        self._classes: tuple[str, ...] = ()
        if runner.val_loop is None:
            return
        for metric in getattr(runner.val_evaluator, 'metrics', []):
            areas = getattr(metric, 'total_area_to_metrics', None)
            if areas is not None:
                vars(metric)['total_area_to_metrics'] = self._noting(
                    areas, metric
                )

    def _noting(
        self, areas: Callable[..., Any], metric: Any
    ) -> Callable[..., Any]:
        @wraps(areas)
        def note(*args: Any, **kwargs: Any) -> Any:
            found = areas(*args, **kwargs)
            self._classes = tuple(metric.dataset_meta['classes'])
            self._found = {
                name: [100 * float(value) for value in values]
                for name, values in found.items()
                if getattr(values, 'ndim', 0) == 1
            }
            return found

        return note

    def table(self) -> Table | None:
        """Return a row for each class, if an evaluation has told them."""
        if not self._found or len(self._classes) > MOST_CLASSES:
            return None
        rows = [
            (name, *(_cell(values[i]) for values in self._found.values()))
            for i, name in enumerate(self._classes)
        ]
        return Table('By class', ('', *self._found), rows)


def _cell(value: float) -> str:
    """A metric; of a class that no image has there is none."""
    return '-' if math.isnan(value) else f'{value:.1f}'
