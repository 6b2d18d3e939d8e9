"""The search as a hook: an ordinary training run sheds units as it trains."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.optim import BaseOptimWrapper
from mmengine.runner import Runner

from .. import compat
from ..registry import HOOKS, register_in
from ..search import (
    CostModel,
    ResourcePenalty,
    architecture_of,
    check_optimizer,
    importances,
)
from ..search.budget import Target
from .checkpoints import (
    check_fits,
    gather_state,
    guard_loading_,
    guard_saving_,
    last_whole,
    restore_gradients_,
)
from .checks import (
    check_images,
    check_losses,
    check_options,
    check_runner,
    check_weights,
    input_shape_of,
)
from .milestones import parse_milestones, stop_at_milestone
from .plan import make_budget, make_controller, make_schedule, settings_of
from .recalibration import recalibrate_
from .report import record_evaluation, report
from .results import write_results, write_rung
from .rng import own_generators_, set_rng_state
from .surgery import (
    apply_architecture_to_runner_,
    averaged_model,
    bare_model,
    deployed_model,
    shrink_runner_,
)

STATE = 'search_state'


@register_in(HOOKS)
class ProgressiveShrinkHook(Hook):
    """Penalise, shrink, recalibrate, and write down what is left.

    Source: HR-NAS, Sec. 3.3: the penalty of Eq. (7) presses on the importance
    factors; every ``interval`` the elements whose importance factor is below
    ``threshold`` in the raw and in the averaged weights are removed from
    model, optimizer and averaged model; BN is recalibrated before anything is
    evaluated or saved. At the end ``work_dir/searched`` has the architecture,
    the weights and a config.

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
            own after the optimizer's; see docs/budget.md for a comparison.
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
        self._last_shrink = -1
        self._resumed: dict[str, Any] = {}

    # Set-up

    def before_run(self, runner: Runner) -> None:
        """Measure the supernet, while the model still is what config says."""
        guard_loading_(runner)
        if not _trains(runner):
            return
        check_runner(runner)
        model = bare_model(runner)
        shape = input_shape_of(model, self.input_shape)
        self.cost_model = CostModel(model, shape)
        budget = make_budget(self, self.cost_model)
        counted = self.cost or (budget.resource if budget else 'macs')
        self._penalty = ResourcePenalty(self.cost_model, counted)
        self._milestones = parse_milestones(
            self.milestones, self.cost_model, budget
        )
        self.schedule = make_schedule(self, runner)
        self.controller = make_controller(
            self, runner, self.cost_model, budget, self.schedule
        )
        check_images(runner, model)

    def before_train(self, runner: Runner) -> None:
        """Put the penalty into the training; draw data from own generators."""
        self._runner = runner
        compat.sync_first_iteration_(runner.model)
        model = bare_model(runner)
        self._penalty.bind_(model)
        if self.penalty == 'l1':
            model.parse_losses = self._with_penalty(model.parse_losses)
        self._step_hook = (
            runner.optim_wrapper.optimizer.register_step_post_hook(
                self._after_step
            )
        )
        guard_saving_(runner, self._prepare_checkpoint)
        own_generators_(runner)
        self._resume(runner)
        self._remember(runner)
        if not runner.iter:
            report(
                runner,
                self.cost_model,
                architecture_of(model),
                self.controller.rho,
            )

    def _resume(self, runner: Runner) -> None:
        """Take over what the checkpoint says of search and generators."""
        restore_gradients_(runner, self._resumed.get('gradients', []))
        states = self._resumed.get('rng_state', [])
        if states and len(states) != get_world_size():
            runner.logger.warning(
                f'Search: the checkpoint is of {len(states)} processes, this '
                f'run has {get_world_size()}; it will not end as that one'
            )
        self._rng_state = dict(enumerate(states)).get(get_rank())
        if self._rng_state and not self._advances_data(runner):
            set_rng_state(self._rng_state)
            self._rng_state = None
        state = runner.message_hub.runtime_info.get(STATE)
        if not runner._resume or not state:
            return
        self._last_shrink = state['last_shrink']
        changed = {
            name: value
            for name, value in settings_of(self).items()
            if value != state['settings'].get(name)
        }
        for name, value in changed.items():
            runner.logger.info(
                f'Search: {name} is {value} from iteration {runner.iter} on, '
                f'it was {state["settings"].get(name)}'
            )
        fresh_rho = self.controller.rho
        if state['controller']:
            self.controller.load_state_dict(state['controller'])
        if changed.keys() & {'rho', 'penalty'}:
            self.controller.rho = fresh_rho
        if changed.keys() & {'target', 'begin', 'end', 'by_epoch'}:
            self.controller.replan_(
                architecture_of(bare_model(runner)), runner.iter
            )

    # The penalty

    def _with_penalty(self, parse_losses):
        """Wrap ``parse_losses``, which no framework overrides."""

        # rho changes from one iteration to the next: nothing to compile in.
        @torch.compiler.disable
        def parse(losses):
            rho = self._current_rho()
            if rho:
                losses = dict(losses, loss_resource=rho * self._penalty())
            return parse_losses(losses)

        return parse

    def _after_step(self, optimizer, args, kwargs) -> None:
        if not self._step_checked:
            params = [p for g in optimizer.param_groups for p in g['params']]
            check_optimizer(optimizer, params)
            self._step_checked = True
        rho = self._current_rho()
        if rho and self.penalty == 'proximal':
            self._penalty.soft_threshold_(rho, optimizer)

    def _current_rho(self) -> float:
        return self.controller.rho * self.schedule.factor(self._runner.iter)

    # Shrinking

    def before_train_iter(self, runner: Runner, batch_idx, data_batch=None):
        """Shrink when it is due: now gradients and graph are gone."""
        if self._rng_state:
            model_only = ('torch', 'cuda')
            set_rng_state({key: self._rng_state[key] for key in model_only})
            self._rng_state = None
        clean = runner.optim_wrapper.should_update()
        if clean and self.schedule.is_due(runner.iter, self._last_shrink):
            with self._stopping(runner):
                self._shrink(runner)

    def _shrink(self, runner: Runner) -> None:
        model = bare_model(runner)
        before = architecture_of(model)
        self.controller.update_(self._importances(runner), runner.iter)
        self._last_shrink = runner.iter
        self._remember(runner)
        while True:
            importance = self._importances(runner)
            keep, milestone = stop_at_milestone(
                self._milestones,
                self.cost_model,
                importance,
                self.threshold,
                self.controller.select(importance, runner.iter),
            )
            if any(len(keep[name]) < len(v) for name, v in importance.items()):
                shrink_runner_(runner, keep)
                self._penalty.bind_(model)
                self._stale = True
            if milestone is None:
                break
            self._evaluate_rung(runner, milestone.name)
        report(runner, self.cost_model, before, self.controller.rho)

    def _importances(self, runner: Runner) -> Mapping[str, torch.Tensor]:
        copies = [bare_model(runner), deployed_model(runner)]
        return importances(list({id(copy): copy for copy in copies}.values()))

    def _evaluate_rung(self, runner: Runner, name: str) -> None:
        metrics = {}
        if runner.val_loop is not None:
            metrics = runner.val_loop.run()
            runner.model.train()
        self._recalibrate(runner)
        write_rung(runner, self.cost_model, name, metrics)

    def _remember(self, runner: Runner) -> None:
        """Let checkpoints know how far the search has come."""
        runner.message_hub.update_info(
            STATE,
            dict(
                settings=settings_of(self),
                last_shrink=self._last_shrink,
                controller=self.controller.state_dict(),
            ),
        )

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

    def before_val_epoch(self, runner: Runner) -> None:
        """Recalibrate what is going to be evaluated."""
        if _trains(runner):
            self._recalibrate(runner)

    def _prepare_checkpoint(self) -> None:
        """Recalibrate, on all ranks, what the first rank then saves."""
        runner = self._runner
        with self._stopping(runner):
            check_weights(bare_model(runner))
        self._recalibrate(runner)
        self._state = gather_state(runner)

    def _recalibrate(self, runner: Runner) -> None:
        if not self._stale:
            return
        self._stale = False
        model = deployed_model(runner)
        recalibrate_(model, runner.train_dataloader, self.calibration_batches)
        averaged = averaged_model(runner)
        if averaged is not None and not averaged.update_buffers:
            # EMAHook swaps parameters only: for evaluation the raw model has
            # to have the buffers of the averaged weights.
            with torch.no_grad():
                for target, source in zip(
                    bare_model(runner).buffers(), model.buffers()
                ):
                    target.copy_(source)

    def after_val_epoch(self, runner: Runner, metrics=None) -> None:
        """Remember the metric."""
        if _trains(runner) and metrics:
            record_evaluation(runner, self.cost_model, metrics)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add what mmengine leaves out; leave only tensors and plain types."""
        checkpoint.update(self._state)
        compat.plain_checkpoint_(checkpoint)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take over the architecture before weights and states are set."""
        compat.restore_checkpoint_(checkpoint)
        found = check_fits(checkpoint, bare_model(runner), runner._resume)
        if not _trains(runner):
            return
        apply_architecture_to_runner_(runner, found)
        if runner._resume:
            self._resumed = checkpoint

    @staticmethod
    def _advances_data(runner: Runner) -> bool:
        # IterBasedTrainLoop draws all past batches again, and with them the
        # numbers of numpy and python; only the model's are left to restore.
        return hasattr(runner.train_loop, 'dataloader_iterator')

    # The end

    def after_train(self, runner: Runner) -> None:
        """Write ``work_dir/searched`` and log the tables."""
        if self.penalty == 'l1':
            del bare_model(runner).parse_losses
        self._step_hook.remove()
        del runner.save_checkpoint
        self._recalibrate(runner)
        write_results(runner, self.cost_model)


def _trains(runner: Runner) -> bool:
    # In a test run the optimizer wrapper is still its config.
    return isinstance(runner.optim_wrapper, BaseOptimWrapper)
