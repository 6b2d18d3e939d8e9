"""The search as a hook: an ordinary training run sheds units as it trains."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.hooks import (
    CheckpointHook,
    EarlyStoppingHook,
    Hook,
    ParamSchedulerHook,
)
from mmengine.optim import BaseOptimWrapper
from mmengine.runner import Runner

from .. import compat
from ..registry import HOOKS, register_in
from ..search import (
    architecture_of,
    check_optimizer,
    describe_architecture,
)
from ..search.budget import Target
from ..search.controller import Importance
from .checkpoints import (
    check_fits,
    check_whole,
    gather_state,
    guard_loading_,
    guard_saving_,
    last_whole,
    restore_state_,
)
from .checks import (
    check_images,
    check_losses,
    check_options,
    check_runner,
    check_weights,
)
from .milestones import Milestone
from .plan import Search
from .progress import LiveLine
from .recalibration import recalibrate_runner_
from .report import HISTORY, record_evaluation, report
from .results import write_results, write_rung
from .rng import (
    begin_epoch_,
    own_generators_,
    rng_state,
    set_rng_state,
)
from .surgery import (
    apply_architecture_to_runner_,
    bare_model,
    importances_of_runner,
    shrink_runner_,
    without_hooks,
)


@register_in(HOOKS)
class ProgressiveShrinkHook(Hook):
    """Penalise, shrink, recalibrate, and write down what is left.

    Source: HR-NAS, Sec. 3.3: the penalty of Eq. (7) presses on the importance
    factors; every ``interval`` the elements whose importance factor is below
    ``threshold`` in the raw and in the averaged weights are removed from
    model, optimizer and averaged model; BN is recalibrated before anything is
    evaluated or saved. At the end ``work_dir/searched`` has the architecture,
    the weights and a config, and ``work_dir/report.html`` tells the story.

    Differs in: with a ``target`` instead of ``rho``, rho is adapted at every
    shrink and the network led down to that budget, see
    :class:`~hrnas_mm.search.BudgetController`.

    Args:
        target: What the network may cost at the end: multiply-adds as a
            number, a string ('1.91G') or a ratio of the supernet (0.03), or
            parameters: ``dict(params=...)`` with any of them.
        rho: The coefficient of the penalty (the paper's lambda) on deltas
            whose mean over the supernet is 1. With a target only where it
            starts; None for a guess.
        interval: Between two shrinks, in iterations or epochs. None, with a
            target, for 20 shrinks.
        penalty: 'l1', a loss (the paper's way), or 'proximal', a step of its
            own after the optimizer's; see docs/results.md for a comparison.
        milestones: More budgets, written like ``target``. Where the network
            crosses one, it is evaluated and saved to ``work_dir/rungs``.
        threshold: Elements with abs(alpha) below this are dead.
        warmup: rho rises linearly from 0 over so many iterations or epochs.
        begin: Iteration or epoch at which penalty and shrinking begin. None
            for 0, with a target for an eighth of the run.
        end: The last at which the network may shrink; from then on it is
            trained without the penalty. None for the end of the run, with a
            target for three quarters of it.
        by_epoch: Whether interval, warmup, begin and end count epochs.
        cost: What the penalty's deltas count: 'macs' (all that an element
            costs), 'params', or 'eq6' (a channel's depthwise convolution
            alone, as Eq. (6) is printed). None for what the target counts.
        input_shape: (H, W) or (C, H, W) at which multiply-adds are counted;
            None for the ``size`` of the model's data_preprocessor.
        calibration_batches: Batches per rank of a BN recalibration; 0 for
            none.

    Raises:
        ValueError: If an argument is out of range.
    """

    # EMAHook is NORMAL: it must find the model already shrunk.
    priority = 'ABOVE_NORMAL'

    def __init__(
        self,
        target: Target | None = None,
        rho: float | None = None,
        interval: int | None = None,
        penalty: str = 'l1',
        milestones: Sequence[Target] = (),
        threshold: float = 1e-3,
        warmup: int = 0,
        begin: int | None = None,
        end: int | None = None,
        by_epoch: bool = False,
        cost: str | None = None,
        input_shape: Sequence[int] | None = None,
        calibration_batches: int = 10,
    ) -> None:
        self.target = target
        self.rho = rho
        self.interval = interval
        self.penalty = penalty
        self.milestones = list(milestones)
        self.threshold = threshold
        self.warmup = warmup
        self.begin = begin
        self.end = end
        self.by_epoch = by_epoch
        self.cost = cost
        self.input_shape = input_shape
        self.calibration_batches = calibration_batches
        check_options(self)
        self._stale = True
        self._step_checked = False
        self._resumed: dict[str, Any] = {}
        self._state: dict[str, Any] = {}
        self._rng_state: dict[str, Any] | None = None

    # Set-up

    def before_run(self, runner: Runner) -> None:
        """Measure the supernet, while the model still is what config says."""
        guard_loading_(runner)
        if not _trains(runner):
            return
        if hasattr(self, 'search'):  # a test after the training
            return
        check_runner(runner)
        self._seed = runner.seed
        self.search = Search(self, runner)
        check_images(runner, bare_model(runner))

    def before_train(self, runner: Runner) -> None:
        """Put the penalty into the training; draw data from own generators."""
        self._runner = runner
        compat.sync_first_iteration_(runner.model)
        model = bare_model(runner)
        self.search.penalty.bind_(model)
        if self.penalty == 'l1':
            model.parse_losses = self._with_penalty(model.parse_losses)
        optimizer = runner.optim_wrapper.optimizer
        self._step_hook = optimizer.register_step_post_hook(self._after_step)
        guard_saving_(runner, self._prepare_checkpoint)
        if runner.seed != self._seed:
            compat.reseed_loading_(runner)
        own_generators_(runner)
        if self._resumed:
            self.search.resume(runner)
            self._rng_state = restore_state_(runner, self._resumed)
            self._resumed = {}
        elif architecture_of(model) != self.search.cost_model.supernet:
            self.search.replan_(runner)  # loaded from a smaller network
        if self._rng_state and not self._advances_data(runner):
            set_rng_state(self._rng_state)
            self._rng_state = None
        self.search.remember(runner)
        self.search.announce(runner)
        if not runner.iter or not runner.message_hub.runtime_info.get(HISTORY):
            self._report(runner, architecture_of(model))
        self._line = LiveLine(runner, self.search)

    def before_train_epoch(self, runner: Runner) -> None:
        """Let an epoch's data depend on nothing that a resume forgets."""
        if not self._advances_data(runner):
            begin_epoch_(runner.train_dataloader, runner.seed, runner.epoch)

    # The penalty

    def _with_penalty(self, parse_losses):
        """Wrap ``parse_losses``, which no framework overrides."""

        # rho changes from one iteration to the next: nothing to compile in.
        @torch.compiler.disable
        def parse(losses):
            rho = self.search.rho(self._runner.iter)
            if rho:
                penalty = rho * self.search.penalty()
                losses = dict(losses, loss_resource=penalty)
            return parse_losses(losses)

        return parse

    def _after_step(self, optimizer, args, kwargs) -> None:
        if not self._step_checked:
            params = [p for g in optimizer.param_groups for p in g['params']]
            check_optimizer(optimizer, params)
            self._step_checked = True
        rho = self.search.rho(self._runner.iter)
        if rho and self.penalty == 'proximal':
            self.search.penalty.soft_threshold_(rho, optimizer)

    # Shrinking

    def before_train_iter(self, runner: Runner, batch_idx, data_batch=None):
        """Shrink when it is due: now gradients and graph are gone."""
        if self._rng_state:
            model_only = ('torch', 'cuda')
            set_rng_state({key: self._rng_state[key] for key in model_only})
            self._rng_state = None
        clean = runner.optim_wrapper.should_update()
        if clean and self.search.is_due(runner.iter):
            self._shrink(runner)

    def _shrink(self, runner: Runner) -> None:
        model = bare_model(runner)
        before = architecture_of(model)
        importance = self._importances(runner)
        self.search.adapt_(runner, importance)
        milestone = self._cut(runner, importance)
        while milestone is not None:
            self._evaluate_rung(runner, milestone.name)
            milestone = self._cut(runner, self._importances(runner))
        self._report(runner, before)

    def _cut(self, runner: Runner, importance: Importance) -> Milestone | None:
        """Remove what has to go now; return the milestone that this meets."""
        keep, milestone = self.search.select(importance, runner.iter)
        if any(len(keep[name]) < len(v) for name, v in importance.items()):
            with self._stopping(runner):
                shrink_runner_(runner, keep)
            self.search.penalty.bind_(bare_model(runner))
            self._stale = True
        return milestone

    def _report(self, runner: Runner, before: Mapping[str, int]) -> None:
        report(runner, self.search, before)

    def _importances(self, runner: Runner) -> Importance:
        with self._stopping(runner):
            return importances_of_runner(runner)

    def _evaluate_rung(self, runner: Runner, name: str) -> None:
        metrics = {}
        if runner.val_loop is not None:
            with without_hooks(
                runner, CheckpointHook, EarlyStoppingHook, ParamSchedulerHook
            ):
                metrics = runner.val_loop.run()
            runner.model.train()
        self._recalibrate(runner)
        write_rung(runner, self.search, name, metrics)

    @contextmanager
    def _stopping(self, runner: Runner) -> Iterator[None]:
        """Let an error in the numbers say where a run can go on from."""
        try:
            yield
        except ValueError as error:
            raise RuntimeError(
                f'search stopped at iteration {runner.iter}: {error}. '
                f'{last_whole(runner)} Try a smaller learning rate, a smaller '
                'rho or a longer warmup'
            ) from error

    # Recalibration, evaluation, checkpoints

    def after_train_iter(
        self, runner: Runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        """Weights have moved: running statistics are not theirs any more."""
        self._stale = True
        with self._stopping(runner):
            check_losses(outputs or {}, bare_model(runner))
        self._line.update(runner, self.search)

    def before_val_epoch(self, runner: Runner) -> None:
        """Recalibrate what is going to be evaluated."""
        if _trains(runner):
            self._recalibrate(runner)
            self._before_val = rng_state()

    def _prepare_checkpoint(self) -> None:
        """Recalibrate, on all ranks, what the first rank then saves."""
        runner = self._runner
        with self._stopping(runner):
            check_weights(bare_model(runner))
        self._recalibrate(runner)
        self._state = gather_state(runner)

    def _recalibrate(self, runner: Runner) -> None:
        if self._stale:
            self._stale = False
            recalibrate_runner_(runner, self.calibration_batches)

    def after_val_epoch(self, runner: Runner, metrics=None) -> None:
        """Remember the metric; a resumed run does not evaluate once more."""
        if not _trains(runner):
            return
        set_rng_state(self._before_val)
        if metrics:
            record_evaluation(runner, self.search, metrics)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add what mmengine leaves out; leave only tensors and plain types."""
        checkpoint.update(self._state)
        checkpoint['architecture'] = describe_architecture(
            bare_model(runner), self.search.cost_model
        )
        compat.plain_checkpoint_(checkpoint)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take over the architecture before weights and states are set."""
        compat.restore_checkpoint_(checkpoint)
        found = check_fits(checkpoint, bare_model(runner))
        if not _trains(runner):
            return
        apply_architecture_to_runner_(runner, found)
        if runner._resume:
            check_whole(checkpoint, bare_model(runner))
            self._resumed = checkpoint

    @staticmethod
    def _advances_data(runner: Runner) -> bool:
        # IterBasedTrainLoop draws all past batches again, and with them the
        # numbers of numpy and python; only the model's are left to restore.
        return hasattr(runner.train_loop, 'dataloader_iterator')

    # The end

    def after_train(self, runner: Runner) -> None:
        """Write ``work_dir/searched`` and the report; log the tables."""
        self._line.close()
        if self.penalty == 'l1':
            del bare_model(runner).parse_losses
        self._step_hook.remove()
        del runner.save_checkpoint
        self._recalibrate(runner)
        if self.search.misses(architecture_of(bare_model(runner))):
            runner.logger.error(
                f'Search: the run ended at iteration {runner.iter}, before '
                f'the network was down to {self.search.budget}'
            )
        write_results(runner, self.search)


def _trains(runner: Runner) -> bool:
    # In a test run the optimizer wrapper is still its config.
    return isinstance(runner.optim_wrapper, BaseOptimWrapper)
