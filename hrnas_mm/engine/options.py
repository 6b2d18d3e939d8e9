"""The options of a search, as they stand in a config."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..latency.table import MOST
from ..runtimes import RUNTIMES, check_device
from ..search import COSTS
from ..search.budget import LATENCY, Target
from ..search.importance import IMPORTANCES

COUNTS = ('interval', 'warmup', 'begin', 'end', 'calibration_batches')
# Options of a table that is measured, beside its backend.
MEASURED: dict[str, Any] = dict(
    threads=1, batch=1, round='auto', device='cpu', dtype='float32'
)


@dataclass(frozen=True)
class SearchOptions:
    """The arguments of :class:`~hrnas_mm.engine.ProgressiveShrinkHook`.

    Args:
        target: Cost of the network at the end: multiply-adds as a number, a
            string ('1.91G') or a ratio of the supernet (0.03), or another
            cost: ``dict(params=...)`` with any of these; milliseconds as
            '6ms' or ``dict(latency=0.3)``, with a table of ``latency``; with
            one, a bare ratio is of milliseconds.
        rho: Coefficient of the penalty (the paper's lambda), on prices whose
            mean over the supernet is 1. With a target it is only the initial
            value, and 0 is for no penalty, cuts alone; None chooses 3e-4, or
            0 if a stock network is searched.
        interval: Iterations between shrinks. With a target, None makes 20.
        milestones: More budgets, written like ``target``. Where the network
            crosses one, it is evaluated and saved to ``work_dir/milestones``.
        threshold: Elements with abs(alpha) below this are dead.
        warmup: Number of iterations in which rho rises linearly from 0.
        begin: Iteration at which penalty and shrinking begin. None for 0, or
            with a target for an eighth of the run.
        end: Last iteration of shrinking, at which the penalty ends. None for
            the end of the run, or with a target for three quarters of it.
        by_epoch: Whether interval, warmup, begin and end count epochs instead.
        cost: Cost that gives elements their price: 'macs' (an element's
            total), 'params', or 'eq6' (only a channel's depthwise
            convolution, as Eq. (6) is printed). None for the target's cost.
        importance: Criterion by which a cut chooses elements: 'alpha', their
            importance factors, or 'taylor', what the loss would lose with
            them. None for 'taylor' if the cost falls in steps, as ms do, or
            if a stock network is searched.
        latency: Table of milliseconds on the user's device: a file of
            ``tools/measure_latency.py``, or ``dict(backend=..., threads=...)``
            to measure it before the first iteration.
        input_shape: (H, W) or (C, H, W) at which multiply-adds are counted;
            None for the ``size`` of the model's data_preprocessor.
        calibration_batches: Batches per rank of a recalibration; 0 for none.

    Raises:
        ValueError: If an option is out of range; the message names it.
    """

    target: Target | None = None
    rho: float | None = None
    interval: int | None = None
    milestones: Sequence[Target] = ()
    threshold: float = 1e-3
    warmup: int = 0
    begin: int | None = None
    end: int | None = None
    by_epoch: bool = False
    cost: str | None = None
    importance: str | None = None
    latency: str | Mapping[str, Any] | None = None
    input_shape: Sequence[int] | None = None
    calibration_batches: int = 10

    def __post_init__(self) -> None:
        for name in ('threshold', 'rho'):
            self._check_number(name, (int, float))
        for name in COUNTS:
            self._check_number(name, (int,))
        if self.target is None and (self.rho is None or self.interval is None):
            raise ValueError(
                'target must be given, or rho and interval, got '
                f'rho={self.rho} and interval={self.interval}'
            )
        if self.interval is not None and self.interval < 1:
            raise ValueError(
                f'interval must be at least 1, got {self.interval}'
            )
        if self.end is not None and self.end <= (self.begin or 0):
            raise ValueError(
                f'end must be after begin={self.begin or 0}, got '
                f'end={self.end}'
            )
        if not isinstance(self.milestones, (list, tuple)):
            raise ValueError(
                'milestones must be a list of budgets, got '
                f'{self.milestones!r}'
            )
        self._check_choice('by_epoch', (True, False))
        if self.cost is not None:
            timed = () if self.latency is None else (LATENCY,)
            self._check_choice('cost', (*COSTS, *timed))
        if self.importance is not None:
            self._check_choice('importance', tuple(IMPORTANCES))
        if self.importance is not None and self.target is None:
            raise ValueError(
                'importance must not be given without a target, as then '
                f'only dead elements are removed, got {self.importance!r}'
            )
        self._check_latency()

    def _check_number(self, name: str, kinds: tuple[type, ...]) -> None:
        value = getattr(self, name)
        # A default is an attribute of the class.
        if value is None and getattr(type(self), name) is None:
            return
        if not isinstance(value, (int, float)) or type(value) not in kinds:
            raise ValueError(
                f'{name} must be a {"whole " if float not in kinds else ""}'
                f'number, got {value!r}'
            )
        if not 0 <= value < math.inf:
            raise ValueError(
                f'{name} must be finite and not negative, got {value}'
            )

    def _check_latency(self) -> None:
        if self.latency is None or isinstance(self.latency, str):
            return
        described = isinstance(self.latency, Mapping)
        known = {'backend', *MEASURED}
        if not described or not {'backend'} <= set(self.latency) <= known:
            raise ValueError(
                'latency must be the file of a table, or dict(backend=...) '
                f'with {", ".join(sorted(MEASURED))}, got '
                f'{self.latency!r}'
            )
        # A list is searched, as what is given may have no hash.
        if self.latency['backend'] not in list(RUNTIMES):
            raise ValueError(
                f'latency.backend must be one of {", ".join(RUNTIMES)}, got '
                f'{self.latency["backend"]!r}'
            )
        wanted = {**MEASURED, **self.latency}
        for name in ('threads', 'batch', 'round'):
            value = wanted[name]
            whole = type(value) is int and 1 <= value <= MOST
            if not whole and (name, value) != ('round', 'auto'):
                raise ValueError(
                    f'latency.{name} must be a whole number from 1 to {MOST}, '
                    f'got {value!r}'
                )
        try:
            check_device(
                RUNTIMES[wanted['backend']], wanted['device'], wanted['dtype']
            )
        except ValueError as error:
            raise ValueError(f'latency.{error}') from error

    def _check_choice(self, name: str, known: Sequence[Any]) -> None:
        value = getattr(self, name)
        if value not in known:
            raise ValueError(
                f'{name} must be {" or ".join(map(repr, known))}, got '
                f'{value!r}'
            )
