"""A live progress line on the terminal: state of the search, time left."""

import atexit
import logging
import sys
import time
from typing import TextIO

from mmengine.dist import is_main_process
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
)

from ..report.time_left import duration, seconds_left
from .run_info import training_curves
from .search import Search

MIN_SECONDS = 0.2  # between two refreshes
PREDICTS = 5.0  # seconds between two predictions of the end


class LiveLine:
    """A line below the log: cost of the network, target, rho, time left.

    It is shown only where a person may see it: on a terminal, by rank 0.

    Args:
        search: The search of a run, at the start of its training.
        stream: The terminal; None for standard output.
    """

    def __init__(self, search: Search, stream: TextIO | None = None) -> None:
        self._search, runner = search, search.runner
        stream = sys.stdout if stream is None else stream
        self._handlers: list[logging.StreamHandler] = []
        self._progress: Progress | None = None
        self._end: float | None = None
        if not is_main_process() or not stream.isatty():
            return
        self._progress = Progress(
            TextColumn('{task.description}'),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            console=Console(file=stream),
            redirect_stderr=sys.stderr.isatty(),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task(
            self._text(),
            total=runner.max_iters,
            completed=runner.iter,
        )
        self._progress.start()
        # The log handlers still write to the stream from before; they have to
        # write above the line.
        for handler in runner.logger.handlers:
            if getattr(handler, 'stream', None) is stream:
                handler.setStream(sys.stdout)
                self._handlers.append(handler)
        self._stream = stream
        self._shown = self._predicted = 0.0
        atexit.register(self.close)  # shows the cursor again

    def update(self) -> None:
        """Show how far the run is now."""
        runner, now = self._search.runner, time.monotonic()
        last = runner.iter + 1 == runner.max_iters
        if self._progress is None or not (
            last or now > self._shown + MIN_SECONDS
        ):
            return
        self._shown = now
        if now > self._predicted + PREDICTS:
            self._predicted, left = now, self._seconds_left()
            self._end = None if left is None else now + left
        self._progress.update(
            self._task,
            completed=runner.iter + 1,
            description=self._text(),
            refresh=True,
        )

    def close(self) -> None:
        """Remove the line."""
        if self._progress is None:
            return
        self._progress.stop()
        for handler in self._handlers:
            handler.setStream(self._stream)
        self._progress = None
        atexit.unregister(self.close)

    def _text(self) -> str:
        search = self._search
        cost, timed = search.costs[0], search.latency
        budget = search.budget
        # As of the last shrink: counting the costs anew would take time.
        costs = search.history.shrinks[-1].costs
        ms = ''
        if timed is not None and timed.name != cost.name:
            ms = f', {timed.format(costs[timed.name])} {timed.noun}'
        goal = f' → {cost.format(budget.amount)}' if budget else ''
        left = ''
        if self._end is not None:
            seconds = max(self._end - time.monotonic(), 0.0)
            left = f', {duration(seconds)} left'
        return (
            f'{cost.format(costs[cost.name])}{goal} {cost.noun}{ms}, '
            f'rho {search.controller.rho_at(search.runner.iter):.2g}{left}'
        )

    def _seconds_left(self) -> float | None:
        search, runner = self._search, self._search.runner
        return seconds_left(
            training_curves(runner),
            search.history.shrinks,
            search.costs[0].name,
            getattr(search.controller, 'descent', None),
            runner.iter + 1,
            runner.max_iters,
        )
