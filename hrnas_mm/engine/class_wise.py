"""The per-class metrics of an evaluation, which frameworks only log."""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

from mmengine.runner import Runner

from .tables import Table

MOST_CLASSES = 200


class ClassWise:
    """The per-class metrics of the last evaluation with mmseg's IoUMetric.

    Args:
        runner: The runner, at the start of its training.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner, self._iter = runner, -1
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
            self._iter = self._runner.iter
            self._classes = tuple(metric.dataset_meta['classes'])
            self._found = {
                name: [100 * float(value) for value in values]
                for name, values in found.items()
                if getattr(values, 'ndim', 0) == 1
            }
            return found

        return note

    def table(self) -> Table | None:
        """Return a table with a row for each class.

        None if there are no per-class metrics of the network as it is now, or
        more than MOST_CLASSES.
        """
        if not self._found or len(self._classes) > MOST_CLASSES:
            return None
        if self._iter != self._runner.iter:  # of a milestone, say
            return None
        rows = [
            (name, *(_cell(values[i]) for values in self._found.values()))
            for i, name in enumerate(self._classes)
        ]
        return Table('By class', ('', *self._found), rows)


def _cell(value: float) -> str:
    """Return a metric as text: '-' for the NaN of a class in no image."""
    return '-' if math.isnan(value) else f'{value:.1f}'
