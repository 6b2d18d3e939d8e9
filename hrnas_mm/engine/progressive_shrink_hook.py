"""The search as a hook: an ordinary training run sheds units as it trains."""

from collections.abc import Sequence

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from .. import compat
from ..registry import HOOKS, register_in
from ..search import (
    CostModel,
    ResourcePenalty,
    architecture_in,
    architecture_of,
    linear_warmup,
    select_alive,
)
from .checks import check_images, input_shape_of
from .recalibration import recalibrate_
from .report import record_evaluation, report
from .results import write_results
from .rng import own_generators_, rng_state, set_rng_state
from .surgery import (
    apply_architecture_to_runner_,
    averaged_model,
    bare_model,
    deployed_model,
    shrink_runner_,
)


@register_in(HOOKS)
class ProgressiveShrinkHook(Hook):
    """Penalise, shrink, recalibrate, and write down what is left.

    Source: HR-NAS, Sec. 3.3: Eq. (7) is added to the losses as
    ``loss_resource``; every ``interval`` the elements whose importance factor
    is below ``threshold`` in the raw and in the averaged weights are removed
    from model, optimizer and averaged model; BN is recalibrated before
    anything is evaluated or saved. At the end ``work_dir/searched`` has the
    architecture, the weights and a config.

    Args:
        interval: Between two shrinks, in iterations or epochs.
        rho: The coefficient of the penalty (the paper's lambda) on deltas
            whose mean over the supernet is 1.
        threshold: Elements with abs(alpha) below this are removed.
        warmup: rho rises linearly from 0 over so many iterations or epochs.
        begin: Iteration or epoch at which penalty and shrinking begin.
        end: The last at which the network may shrink; from then on it is
            trained without the penalty. None for the end of the run.
        by_epoch: Whether interval, warmup, begin and end count epochs.
        cost: 'macs' (all that an element costs) or 'eq6' (a channel's
            depthwise convolution alone, as Eq. (6) is printed).
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
        interval: int,
        rho: float,
        threshold: float = 1e-3,
        warmup: int = 0,
        begin: int = 0,
        end: int | None = None,
        by_epoch: bool = False,
        cost: str = 'macs',
        input_shape: Sequence[int] | None = None,
        calibration_batches: int = 10,
    ) -> None:
        _check_not_negative(
            rho=rho,
            threshold=threshold,
            warmup=warmup,
            begin=begin,
            calibration_batches=calibration_batches,
        )
        if interval < 1:
            raise ValueError(f'interval must be at least 1, got {interval}')
        if end is not None and end <= begin:
            raise ValueError(f'end must be after begin={begin}, got end={end}')
        if cost not in ('macs', 'eq6'):
            raise ValueError(f"cost must be 'macs' or 'eq6', got {cost!r}")
        self.interval = interval
        self.rho = rho
        self.threshold = threshold
        self.warmup = warmup
        self.begin = begin
        self.end = end
        self.by_epoch = by_epoch
        self.cost = cost
        self.input_shape = input_shape
        self.calibration_batches = calibration_batches
        self._stale = True
        self._resumed_rng: dict = {}

    # Set-up

    def before_run(self, runner: Runner) -> None:
        """Measure the supernet, while the model still is what config says."""
        if not _trains(runner):
            return
        model = bare_model(runner)
        self.cost_model = CostModel(
            model, input_shape_of(model, self.input_shape)
        )
        self.penalty = ResourcePenalty(self.cost_model, self.cost)
        check_images(runner, model)

    def before_train(self, runner: Runner) -> None:
        """Put the penalty among the losses; draw data from own generators."""
        self._runner = runner
        model = bare_model(runner)
        self.penalty.bind_(model)
        model.parse_losses = self._with_penalty(model.parse_losses)
        self._save_checkpoint = runner.save_checkpoint
        runner.save_checkpoint = self._recalibrated_save
        own_generators_(runner)
        if self._resumed_rng and not self._advances_data(runner):
            set_rng_state(self._resumed_rng)
            self._resumed_rng = {}
        if not runner.iter:
            report(runner, self.cost_model, architecture_of(model))

    def _with_penalty(self, parse_losses):
        """Wrap ``parse_losses``, which no framework overrides."""

        def parse(losses):
            rho = self._current_rho()
            if rho:
                losses = dict(losses, loss_resource=rho * self.penalty())
            return parse_losses(losses)

        return parse

    def _current_rho(self) -> float:
        runner = self._runner
        begin, end = self._iters(runner, self.begin), self._end(runner)
        if not begin <= runner.iter < end:
            return 0.0
        steps = self._iters(runner, self.warmup)
        return self.rho * linear_warmup(runner.iter - begin, steps)

    def _iters(self, runner: Runner, count: int) -> int:
        per_count = len(runner.train_dataloader) if self.by_epoch else 1
        return count * per_count

    def _end(self, runner: Runner) -> int:
        if self.end is None:
            return runner.max_iters
        return self._iters(runner, self.end)

    # Shrinking

    def before_train_iter(self, runner: Runner, batch_idx, data_batch=None):
        """Shrink when it is due: now gradients and graph are gone."""
        if self._resumed_rng:
            set_rng_state(
                {key: self._resumed_rng[key] for key in ('torch', 'cuda')}
            )
            self._resumed_rng = {}
        if self._shrink_is_due(runner):
            self._shrink(runner)

    def _shrink_is_due(self, runner: Runner) -> bool:
        begin, end = self._iters(runner, self.begin), self._end(runner)
        if not begin < runner.iter <= end:
            return False
        interval = self._iters(runner, self.interval)
        return (runner.iter - begin) % interval == 0 or runner.iter == end

    def _shrink(self, runner: Runner) -> None:
        model = bare_model(runner)
        before = architecture_of(model)
        copies = {id(copy): copy for copy in (model, deployed_model(runner))}
        try:
            keep = select_alive(list(copies.values()), self.threshold)
            shrink_runner_(runner, keep)
        except ValueError as error:
            raise RuntimeError(
                f'search stopped at iteration {runner.iter}: {error}. Checkpoi'
                'nts written so far are whole; try a smaller rho, a longer '
                'warmup or a smaller learning rate'
            ) from error
        self.penalty.bind_(model)
        report(runner, self.cost_model, before)

    # Recalibration, evaluation, checkpoints

    def after_train_iter(self, *args, **kwargs) -> None:
        """Weights have moved: running statistics are not theirs any more."""
        self._stale = True

    def before_val_epoch(self, runner: Runner) -> None:
        """Recalibrate what is going to be evaluated."""
        if _trains(runner):
            self._recalibrate(runner)

    def _recalibrated_save(self, *args, **kwargs) -> None:
        """Recalibrate, on all ranks, what the first rank then saves."""
        self._recalibrate(self._runner)
        self._save_checkpoint(*args, **kwargs)

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
        """Add the generators' state; leave only tensors and plain types."""
        checkpoint['rng_state'] = rng_state()
        compat.plain_checkpoint_(checkpoint)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take over the architecture before weights and states are set."""
        compat.restore_checkpoint_(checkpoint)
        if not _trains(runner):
            return
        found = architecture_in(
            checkpoint.get('state_dict', checkpoint), bare_model(runner)
        )
        if found is not None:
            apply_architecture_to_runner_(runner, found)
        if runner._resume:
            self._resumed_rng = checkpoint.get('rng_state', {})

    @staticmethod
    def _advances_data(runner: Runner) -> bool:
        # IterBasedTrainLoop draws all past batches again, and with them the
        # numbers of numpy and python; only the model's are left to restore.
        return hasattr(runner.train_loop, 'dataloader_iterator')

    # The end

    def after_train(self, runner: Runner) -> None:
        """Write ``work_dir/searched`` and log the table."""
        del bare_model(runner).parse_losses
        del runner.save_checkpoint
        self._recalibrate(runner)
        write_results(runner, self.cost_model)


def _trains(runner: Runner) -> bool:
    # In a test run the optimizer wrapper is still its config.
    return isinstance(runner.optim_wrapper, OptimWrapper)


def _check_not_negative(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f'{name} must not be negative, got {value}')
