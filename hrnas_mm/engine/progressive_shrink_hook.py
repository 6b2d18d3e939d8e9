"""The search as a hook: an ordinary training run shrinks its network."""

import inspect
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from .. import compat
from ..compat_torch import keep_freed_memory
from ..files import weights_in
from ..registry import HOOKS, register_in
from ..resume import resume_exactly_
from ..resume.former_run import check_work_dir, config_of, remove_former_
from ..runners import bare_model, trains
from ..search import (
    describe_architecture,
    fitting_architecture,
)
from .best import ignore_above_target_
from .by_class import ByClass
from .check_runner import (
    check_losses,
    check_runner,
    check_weights,
    stopping,
)
from .check_samples import check_fit
from .evaluation import evaluate
from .history import announce, note_evaluation, note_shrink
from .milestones import NamedBudget
from .observing import Observing
from .options import SearchOptions
from .penalising import Penalising
from .pictures import Pictures
from .progress import LiveLine
from .recalibration import recalibrate_runner_
from .results import (
    LAST,
    RESULTS,
    write_milestone,
    write_page,
    write_results,
)
from .search import Search
from .state import SearchState, read_state
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
        options: See :class:`~hrnas_mm.engine.options.SearchOptions`.

    Raises:
        TypeError: If there is no such option.
        ValueError: If an option is out of range.
    """

    # EMAHook has priority NORMAL: it must find the model already shrunk.
    priority = 'ABOVE_NORMAL'

    def __init__(self, **options: Any) -> None:
        try:
            self.options = SearchOptions(**options)
        except TypeError as error:  # one that there is not
            name = type(self).__name__
            raise TypeError(
                str(error).replace(SearchOptions.__name__, name)
            ) from None
        self._trains = False
        self._stale = True
        self._resumed: SearchState | None = None

    # Set-up

    def before_run(self, runner: Runner) -> None:
        """Check the run and measure the supernet before weights are loaded."""
        if trains(runner) and not self._trains:  # not in a later test
            check_work_dir(config_of(runner), LAST)
            check_runner(runner, self)
            self.search = Search(self.options, runner)
            check_fit(runner.train_dataloader, self.search.model)
        self._trains = trains(runner)
        resume_exactly_(runner)

    def before_train(self, runner: Runner) -> None:
        """Install the penalty and restore the search of a resumed run."""
        remove_former_(runner, RESULTS)
        compat.sync_first_iteration_(runner.model)
        search = self.search
        keep_freed_memory(next(search.model.parameters()).device)
        self._penalising = Penalising(search)
        self._observing = Observing(search)
        if self._resumed is not None:
            search.resume_(self._resumed)
        elif runner._resume or (
            search.architecture != search.cost_model.supernet
        ):  # the run had no search so far, or loaded a smaller network
            search.replan_()
        announce(search)
        ignore_above_target_(search)
        if not search.history.shrinks:
            note_shrink(search, search.architecture)
        self._line = LiveLine(search)
        self._by_class = ByClass(runner)
        self._pictures = Pictures(runner)

    # Shrinking

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Shrink if that is due: now gradients and graph are gone."""
        clean = runner.optim_wrapper.should_update()
        if clean and self.search.controller.is_due(runner.iter):
            self._shrink(runner)
        self._pictures.watch_batch()

    def _shrink(self, runner: Runner) -> None:
        before = self.search.architecture
        milestones = self._cut(runner, adapts=True)
        while milestones:
            metrics = evaluate(runner)
            self._recalibrate(runner)
            for milestone in milestones:
                write_milestone(self.search, milestone.name, metrics)
            milestones = self._cut(runner, adapts=False)
        self.search.importance.restart_()
        note_shrink(self.search, before)

    def _cut(self, runner: Runner, adapts: bool) -> list[NamedBudget]:
        """Remove elements as due; return the milestones that are met."""
        with stopping(runner):
            alpha = importances_of_runner(runner)
            if adapts:
                alive = self.search.alive(alpha)
                self.search.controller.adapt_(alive, runner.iter)
            keep, milestones = self.search.select(alpha)
            if any(len(keep[name]) < len(v) for name, v in alpha.items()):
                self.search.importance.keep_(keep)
                shrink_runner_(runner, keep)
                self._stale = True
        return milestones

    # Recalibration, evaluation, checkpoints

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Mark the running statistics as stale; check and note the losses."""
        self._stale = True
        with stopping(runner):
            check_losses(outputs or {}, self.search.model)
        self._penalising.note_()
        self._pictures.draw_batch()
        if runner.iter == 0:
            write_page(runner)
        self._line.update()

    def before_val_epoch(self, runner: Runner) -> None:
        """Recalibrate the model that is going to be evaluated."""
        if self._trains:
            self._recalibrate(runner)
            self._pictures.begin_evaluation()
            self._by_class.begin()

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Look at the predictions, and draw some of them."""
        if self._trains:
            self._by_class.see(outputs)
            self._pictures.see(outputs)

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Record the metrics, and write the page for who watches the run."""
        if not self._trains or not metrics:
            return
        self._by_class.note(self.search.history, metrics)
        note_evaluation(self.search, metrics)
        if runner.iter < runner.max_iters:  # else the end writes it
            write_page(runner)

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
        description = describe_architecture(
            self.search.model, self.search.cost_model, self.search.costs
        )
        checkpoint['architecture'] = description.as_json()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Apply the checkpoint's architecture before its states are loaded."""
        weights = weights_in(checkpoint)
        found = fitting_architecture(weights, bare_model(runner))
        if not self._trains:
            return
        apply_architecture_to_runner_(runner, found)
        if runner._resume:
            self._resumed = read_state(checkpoint.get('search'))

    # The end

    def after_train(self, runner: Runner) -> None:
        """Write ``work_dir/searched`` and the report; log the tables."""
        self._line.close()
        self._penalising.remove()
        self._observing.remove()
        self._by_class.remove()
        self._recalibrate(runner)
        if self.search.misses(self.search.architecture):
            runner.logger.error(
                f'Search: the run ended at iteration {runner.iter}, before '
                f'the network was down to {self.search.budget}'
            )
        write_results(self.search)


# The options as they stand in configs, for help() and for what checks configs.
ProgressiveShrinkHook.__signature__ = inspect.signature(  # type: ignore[attr-defined]
    SearchOptions
)
