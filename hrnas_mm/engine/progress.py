"""A live line on the terminal: how far the search is, and how long to go."""

import atexit
import logging
import sys
import time
from typing import TextIO

from mmengine.dist import is_main_process
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from .search import Search

SECONDS = 0.2  # at least, from one refresh to the next


class LiveLine:
    """Below the log: what the network costs, target, rho, time left.

    Only where a person looks at it: on a terminal, of the first rank.

    Args:
        runner: At the start of training.
        search: Of the run.
        stream: The terminal.
    """

    def __init__(
        self, runner: Runner, search: Search, stream: TextIO | None = None
    ) -> None:
        stream = sys.stdout if stream is None else stream
        self._handlers: list[logging.StreamHandler] = []
        self._progress: Progress | None = None
        if not is_main_process() or not stream.isatty():
            return
        self._progress = Progress(
            TextColumn('{task.description}'),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn('left'),
            console=Console(file=stream),
            redirect_stderr=sys.stderr.isatty(),
            speed_estimate_period=600,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task(
            self._text(runner, search),
            total=runner.max_iters,
            completed=runner.iter,
        )
        self._progress.start()
        # The log has its stream from before: it has to write above the line.
        for handler in runner.logger.handlers:
            if getattr(handler, 'stream', None) is stream:
                handler.setStream(sys.stdout)
                self._handlers.append(handler)
        self._stream = stream
        self._shown = 0.0
        atexit.register(self.close)  # it gives the cursor back

    def update(self, runner: Runner, search: Search) -> None:
        """Say how far the run is now."""
        now = time.monotonic()
        last = runner.iter + 1 == runner.max_iters
        if self._progress is None or not (last or now > self._shown + SECONDS):
            return
        self._shown = now
        self._progress.update(
            self._task,
            completed=runner.iter + 1,
            description=self._text(runner, search),
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

    @staticmethod
    def _text(runner: Runner, search: Search) -> str:
        cost, budget = search.costs[0], search.budget
        # As of the last shrink: to count anew would take its time.
        now = search.history.shrinks[-1]['costs'][cost.name]
        goal = f' → {cost.format(budget.amount)}' if budget else ''
        return (
            f'{cost.format(now)}{goal} {cost.noun}, '
            f'rho {search.controller.rho_at(runner.iter):.2g}'
        )
