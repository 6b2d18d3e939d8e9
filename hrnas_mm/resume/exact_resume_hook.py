"""Exact resume as a hook: a killed run ends as if it had not been killed."""

from collections.abc import Mapping
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from mmengine.runner import Runner

from .. import compat
from ..compat_checkpoints import (
    early_stopping_state,
    name_no_folder_,
    restore_early_stopping_,
)
from ..files import load_weights_, remove_leftovers_, weights_in
from ..registry import HOOKS, register_in
from ..runners import bare_model, trains
from .files import (
    check_whole,
    guard_loading_,
    guard_saving_,
    reading,
)
from .former_run import (
    check_optimizer,
    check_work_dir,
    config_of,
    note_changes,
    remove_former_,
)
from .lock import lock_, unlock_
from .plain import objects_in, plain_checkpoint_, restore_checkpoint_
from .rng import (
    RngState,
    begin_epoch_,
    own_generators_,
    restore_before_new_data_,
    rng_state,
    set_rng_state,
)
from .state import (
    check_progress,
    gather_state,
    last_due,
    optimizer_states,
    restore_state_,
)


@register_in(HOOKS)
class ExactResumeHook(Hook):
    """Write whole, plain checkpoints and resume from them bit for bit.

    A checkpoint replaces an older file only when it is whole, contains only
    tensors and plain types (``weights_only=True`` loads it, with any torch),
    and has what mmengine leaves out: the random generators of all ranks, the
    gradients of an unfinished accumulation, the counts of EarlyStoppingHook.
    Dataloaders draw from generators of their own. A resumed run first makes
    the evaluation that was due at its checkpoint.

    Before a checkpoint is made, ``before_checkpoint(runner)`` of all hooks is
    called on all ranks; mmengine's ``before_save_checkpoint`` is called on
    rank 0 only.
    """

    # It runs last, when the other hooks have added to the checkpoint.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._state: dict[str, Any] = {}
        self._resumed: dict[str, Any] | None = None
        self._before_val: RngState | None = None
        self._last_val = 0
        self._batches = 0  # of an unfinished epoch
        self._checked = False

    def before_run(self, runner: Runner) -> None:
        """Lock the work_dir and make loading errors say what to do.

        Raises:
            TypeError: If the runner is not mmengine's own Runner.
            RuntimeError: If another process trains into the work_dir.
            ValueError: If the work_dir has another run, or one that has
                ended.
        """
        if not isinstance(runner, Runner):
            raise TypeError(
                "ExactResumeHook needs runner_type='Runner', got "
                f'{type(runner).__name__}, which writes checkpoints otherwise'
            )
        if trains(runner) and is_main_process():
            lock_(runner.work_dir)
            remove_leftovers_(runner.work_dir)
            check_work_dir(config_of(runner))
        guard_loading_(runner)
        self._seed = runner.seed

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check that the run can resume from it, or test it, and keep it."""
        restore_checkpoint_(checkpoint)
        if runner._resume and trains(runner):
            check_whole(checkpoint, bare_model(runner))
            note_changes(runner, checkpoint)
            check_progress(runner, checkpoint)
            self._resumed = checkpoint
        if not trains(runner):  # the figures of a random head mean nothing
            model = bare_model(runner)
            if isinstance(model, BaseTTAModel):
                model = model.module
            load_weights_(model, weights_in(checkpoint))

    def before_train(self, runner: Runner) -> None:
        """Restore the resumed state and set up how checkpoints are saved."""
        others = [hook for hook in runner._hooks if hook is not self]
        runner._hooks = [*others, self]
        remove_former_(runner)
        self._saving = guard_saving_(runner)
        if runner.seed != self._seed:
            compat.reseed_loading_(runner)
        own_generators_(runner)
        if self._resumed is not None:
            with reading(runner):
                check_optimizer(runner)
                self._restore(runner, self._resumed)
            self._evaluate_what_is_due(runner)
            self._resumed = None

    def _restore(self, runner: Runner, checkpoint: Mapping[str, Any]) -> None:
        rng = restore_state_(runner, checkpoint)
        restore_early_stopping_(runner, checkpoint)
        self._last_val = int(checkpoint.get('last_val', 0))
        if rng is not None:
            set_rng_state(rng)
            past = checkpoint.get('batches_of_epoch', 0)
            restore_before_new_data_(runner, rng, past)

    def _evaluate_what_is_due(self, runner: Runner) -> None:
        # A checkpoint is saved before the evaluation of its iteration.
        if self._last_val < last_due(runner):
            runner.val_loop.run()

    def before_train_epoch(self, runner: Runner) -> None:
        """Make an epoch's data depend on the seed and the epoch alone."""
        # IterBasedTrainLoop draws all past batches again instead.
        if not hasattr(runner.train_loop, 'dataloader_iterator'):
            begin_epoch_(runner.train_dataloader, runner.seed, runner.epoch)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Count the batches that the epoch has seen."""
        self._batches = batch_idx + 1

    def after_train_iter(self, runner: Runner, *args: Any, **kw: Any) -> None:
        """Warn, after the first step, of state that cannot be saved."""
        states = [] if self._checked else optimizer_states(runner)
        self._checked |= bool(states)
        for what in objects_in(states, "the optimizer's state")[:1]:
            runner.logger.warning(
                f'{what} is neither a tensor nor of a plain type: no '
                'checkpoint can hold it, so that this run cannot be resumed'
            )

    def after_train_epoch(self, runner: Runner) -> None:
        """Count from the start again: the epoch is over."""
        self._batches = 0

    def before_val_epoch(self, runner: Runner) -> None:
        """Save the generators: training must not depend on evaluations."""
        self._before_val = rng_state()
        self._last_val = runner.iter

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Restore the generators that the evaluation has advanced."""
        self._restore_generators()
        self._before_val = None

    def _restore_generators(self) -> None:
        if self._before_val is not None:
            set_rng_state(self._before_val)

    def before_checkpoint(self, runner: Runner) -> None:
        """Gather, on all ranks, the state that rank 0 then saves."""
        # The best checkpoint is saved before its evaluation is over.
        self._restore_generators()
        self._state = gather_state(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the gathered state; leave only tensors and plain types."""
        # One that is made at the end of an epoch already counts it.
        over = checkpoint['meta']['epoch'] > runner.epoch
        past = 0 if over else self._batches
        checkpoint.update(
            self._state, last_val=self._last_val, batches_of_epoch=past
        )
        checkpoint.update(early_stopping_state(runner))
        name_no_folder_(checkpoint)
        plain_checkpoint_(checkpoint, runner.logger)

    def after_train(self, runner: Runner) -> None:
        """Restore the runner's ``save_checkpoint`` and unlock the work_dir."""
        self._saving.remove()
        unlock_(runner.work_dir)


def resume_exactly_(runner: Runner) -> None:
    """Give mmengine's own Runner an ExactResumeHook, if it has none."""
    if isinstance(runner, Runner) and not any(
        isinstance(hook, ExactResumeHook) for hook in runner.hooks
    ):
        runner.register_hook(ExactResumeHook())
