"""The search as a hook: an ordinary training run shrinks its network."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from .. import compat
from ..compat_torch import keep_freed_memory
from ..files import weights_in
from ..registry import HOOKS, register_in
from ..resume import resume_exactly_
from ..resume.state import bare_model, trains
from ..search import (
    architecture_of,
    describe_architecture,
    fitting_architecture,
)
from ..search.budget import Target
from .best import count_from_target_on_
from .checks import (
    check_losses,
    check_runner,
    check_weights,
    stopping,
)
from .class_wise import ClassWise
from .data_checks import check_fit
from .evaluation import evaluate
from .journal import announce, note_evaluation, note_shrink
from .milestones import Milestone
from .observing import Observing
from .options import SearchOptions
from .penalising import Penalising
from .progress import LiveLine
from .recalibration import recalibrate_runner_
from .results import write_results, write_rung
from .search import Search, check_state
from .surgery import (
    apply_architecture_to_runner_,
    importances_of_runner,
    shrink_runner_,
)


@register_in(HOOKS)
class ProgressiveShrinkHook(Hook):
    """Penalise and shrink a network as it trains, and save what is left.

    Source: HR-NAS, Sec. 3.3: the penalty of Eq. (7) drives importance factors
    to 0; elements whose factor is below ``threshold`` in both raw and EMA
    weights are removed from model, optimizer state and EMA copy; batch norm
    is recalibrated before anything is evaluated or saved. The results are
    written to ``work_dir/searched`` and to ``work_dir/report.html``.

    Differs in: with a ``target``, rho is adapted at every shrink so that the
    network reaches it: :class:`~hrnas_mm.search.BudgetController`.

    Args:
        target: Cost of the network at the end: multiply-adds as a number, a
            string ('1.91G') or a ratio of the supernet (0.03), or another
            cost: ``dict(params=...)`` with any of these; milliseconds as
            '6ms' or ``dict(latency=0.3)``, with a table of ``latency``; with
            one, a bare ratio is of milliseconds.
        rho: Coefficient of the penalty (the paper's lambda), on prices whose
            mean over the supernet is 1. With a target it is only the initial
            value, and None chooses one.
        interval: Iterations between shrinks. With a target, None makes 20.
        milestones: More budgets, written like ``target``. Where the network
            crosses one, it is evaluated and saved to ``work_dir/rungs``.
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
        importance: By what elements are chosen that are cut: 'alpha', their
            importance factors, or 'taylor', what the loss would lose with
            them. None for 'taylor' if the cost falls in steps, as ms do.
        latency: Table of milliseconds on the user's device: a file of
            ``tools/measure_latency.py``, or ``dict(backend=..., threads=...)``
            to measure it before the first iteration.
        input_shape: (H, W) or (C, H, W) at which multiply-adds are counted;
            None for the ``size`` of the model's data_preprocessor.
        calibration_batches: Batches per rank of a recalibration; 0 for none.

    Raises:
        ValueError: If an argument is out of range.
    """

    # EMAHook has priority NORMAL: it must find the model already shrunk.
    priority = 'ABOVE_NORMAL'

    def __init__(
        self,
        target: Target | None = None,
        rho: float | None = None,
        interval: int | None = None,
        milestones: Sequence[Target] = (),
        threshold: float = 1e-3,
        warmup: int = 0,
        begin: int | None = None,
        end: int | None = None,
        by_epoch: bool = False,
        cost: str | None = None,
        importance: str | None = None,
        latency: str | Mapping[str, Any] | None = None,
        input_shape: Sequence[int] | None = None,
        calibration_batches: int = 10,
    ) -> None:
        self.options = SearchOptions(
            target=target,
            rho=rho,
            interval=interval,
            milestones=milestones,
            threshold=threshold,
            warmup=warmup,
            begin=begin,
            end=end,
            by_epoch=by_epoch,
            cost=cost,
            importance=importance,
            latency=latency,
            input_shape=input_shape,
            calibration_batches=calibration_batches,
        )
        self._trains = False
        self._stale = True
        self._resumed: Mapping[str, Any] | None = None

    # Set-up

    def before_run(self, runner: Runner) -> None:
        """Check the run and measure the supernet before weights are loaded."""
        if trains(runner) and not self._trains:  # not in a later test
            check_runner(runner, self)
            self.search = Search(self.options, runner)
            check_fit(runner, bare_model(runner))
        self._trains = trains(runner)
        resume_exactly_(runner)

    def before_train(self, runner: Runner) -> None:
        """Install the penalty and restore the search of a resumed run."""
        compat.sync_first_iteration_(runner.model)
        model = bare_model(runner)
        keep_freed_memory(next(model.parameters()).device)
        self._penalising = Penalising(runner, self.search)
        self._observing = Observing(runner, self.search)
        if self._resumed is not None:
            self.search.resume_(runner, self._resumed)
        elif runner._resume or (
            architecture_of(model) != self.search.cost_model.supernet
        ):  # the run had no search so far, or loaded a smaller network
            self.search.replan_(runner)
        announce(runner, self.search)
        count_from_target_on_(runner, self.search)
        if not self.search.history.shrinks:
            note_shrink(runner, self.search, architecture_of(model))
        self._line = LiveLine(runner, self.search)
        self._class_wise = ClassWise(runner)

    # Shrinking

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Shrink if that is due: now gradients and graph are gone."""
        clean = runner.optim_wrapper.should_update()
        if clean and self.search.controller.is_due(runner.iter):
            self._shrink(runner)

    def _shrink(self, runner: Runner) -> None:
        before = architecture_of(bare_model(runner))
        milestone = self._cut(runner, adapts=True)
        while milestone is not None:
            self._evaluate_rung(runner, milestone.name)
            milestone = self._cut(runner, adapts=False)
        self.search.importance.restart_()
        note_shrink(runner, self.search, before)

    def _cut(self, runner: Runner, adapts: bool) -> Milestone | None:
        """Remove elements as due; return the milestone that is met, if any."""
        with stopping(runner):
            alpha = importances_of_runner(runner)
            if adapts:
                self.search.controller.adapt_(alpha, runner.iter)
            keep, milestone = self.search.select(alpha, runner.iter)
            if any(len(keep[name]) < len(v) for name, v in alpha.items()):
                self.search.importance.keep_(keep)
                shrink_runner_(runner, keep)
                self._stale = True
        return milestone

    def _evaluate_rung(self, runner: Runner, name: str) -> None:
        metrics = evaluate(runner)
        self._recalibrate(runner)
        write_rung(runner, self.search, name, metrics)

    # Recalibration, evaluation, checkpoints

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Mark the running statistics as stale, and check the losses."""
        self._stale = True
        with stopping(runner):
            check_losses(outputs or {}, bare_model(runner))
        self._penalising.clear_log_()
        self._line.update(runner, self.search)

    def before_val_epoch(self, runner: Runner) -> None:
        """Recalibrate the model that is going to be evaluated."""
        if self._trains:
            self._recalibrate(runner)

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Record the metrics."""
        if self._trains and metrics:
            note_evaluation(runner, self.search, metrics)

    def before_checkpoint(self, runner: Runner) -> None:
        """Check and recalibrate, on all ranks, what rank 0 then saves."""
        with stopping(runner):
            check_weights(bare_model(runner))
        self._recalibrate(runner)

    def _recalibrate(self, runner: Runner) -> None:
        if self._stale:
            self._stale = False
            recalibrate_runner_(runner, self.options.calibration_batches)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the state of the search and the architecture."""
        checkpoint['search'] = self.search.state_dict()
        checkpoint['architecture'] = describe_architecture(
            bare_model(runner), self.search.cost_model, self.search.costs
        )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Apply the checkpoint's architecture before its states are loaded."""
        weights = weights_in(checkpoint)
        found = fitting_architecture(weights, bare_model(runner))
        if not self._trains:
            return
        apply_architecture_to_runner_(runner, found)
        if runner._resume:
            self._resumed = checkpoint.get('search')
            check_state(self._resumed)

    # The end

    def after_train(self, runner: Runner) -> None:
        """Write ``work_dir/searched`` and the report; log the tables."""
        self._line.close()
        self._penalising.remove()
        self._observing.remove()
        self._recalibrate(runner)
        if self.search.misses(architecture_of(bare_model(runner))):
            runner.logger.error(
                f'Search: the run ended at iteration {runner.iter}, before '
                f'the network was down to {self.search.budget}'
            )
        write_results(runner, self.search, self._class_wise)
