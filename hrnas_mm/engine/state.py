"""The state of a search in a checkpoint, in plain types."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..nested import plain
from ..report.record import (
    ClassMetrics,
    Confusion,
    Evaluation,
    Milestone,
    Shrink,
)
from ..search.controller import CONTROLLER_STATES
from ..typed import read_as


@dataclass
class History:
    """Shrinks, evaluations and milestones of a search so far.

    Args:
        shrinks: The network at the start, and after each shrink.
        evaluations: Each evaluation.
        milestones: The network at each milestone.
        classes, confusion: What the last evaluation told of the classes.
    """

    shrinks: list[Shrink] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    milestones: list[Milestone] = field(default_factory=list)
    classes: ClassMetrics | None = None
    confusion: Confusion | None = None


@dataclass
class SearchState:
    """The state of a search in a checkpoint.

    Args:
        settings: Settings of the search as text, to tell which have changed.
        controller: State of the controller.
        history: The history so far.
        latency: Content of the table of milliseconds; None without one.
        importance: State of the importance criterion.
    """

    settings: dict[str, str]
    controller: dict[str, float]
    history: History
    latency: Any = None
    importance: Any = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.controller) not in CONTROLLER_STATES:
            raise ValueError(
                'controller must be one of a search, got '
                f'{sorted(self.controller)}'
            )


def read_state(content: Any) -> SearchState | None:
    """Read the state of a search in a checkpoint.

    Args:
        content: What the checkpoint has; None if its run had no search.

    Raises:
        ValueError: If it is damaged.
    """
    if content is None:
        return None
    try:
        content = {**content, 'history': _renamed(content['history'])}
        return read_as(SearchState, content, 'search')
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'what it says of its search is damaged: {error}'
        ) from error


def _renamed(history: Mapping[str, Any]) -> dict[str, Any]:
    """Return a history of before 0.1.0 with the names that it has since.

    Milestones were called rungs, and metrics might be no numbers.
    """
    history = dict(history)
    rungs = history.pop('rungs', [])
    for rung in rungs:
        (rung.get('latency') or {}).pop('conditions', None)
    history = {'milestones': rungs, **history}
    for entry in (*history['milestones'], *history['evaluations']):
        entry['metrics'] = numbers(entry['metrics'])
    return history


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics that are numbers; some are NaN, tensors or texts."""
    return {
        name: value
        for name, value in plain(dict(metrics)).items()
        if isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
    }
