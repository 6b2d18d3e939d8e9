"""The state that mmengine's checkpoints lack: generators and gradients."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor

from ..runners import bare_model
from ..spelling import counted
from .rng import RngState, rng_state


def last_due(runner: Runner) -> int:
    """Return the last iteration after which an evaluation was due, or 0."""
    loop = runner.train_loop
    if runner.val_loop is None:
        return 0
    if hasattr(loop, 'dataloader_iterator'):  # of IterBasedTrainLoop
        done, end, length = loop.iter, loop.max_iters, 1
    else:
        done, end, length = loop.epoch, loop.max_epochs, len(loop.dataloader)
    loop._decide_current_val_interval()
    due = done >= loop.val_begin and (
        done % loop.val_interval == 0 or done == end
    )
    return done * length if due else 0


def gather_state(runner: Runner) -> dict[str, Any]:
    """Return the state to add to a checkpoint; all ranks have to call this.

    Returns:
        For every rank, the states of its generators, and its gradients if an
        accumulation is under way.
    """
    gradients = {}
    if _accumulates(runner):
        gradients = {
            name: param.grad.cpu()
            for name, param in bare_model(runner).named_parameters()
            if param.grad is not None
        }
    return dict(
        rng_state=all_gather_object(rng_state()),
        gradients=all_gather_object(gradients),
    )


def _accumulates(runner: Runner) -> bool:
    return not all(each.should_update() for each in _wrappers(runner))


def _wrappers(runner: Runner) -> list[OptimWrapper]:
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, OptimWrapperDict):
        return list(wrapper.values())
    return [wrapper]


def optimizer_states(runner: Runner) -> list[Any]:
    """Return what the optimizers keep of each parameter."""
    return [
        state
        for wrapper in _wrappers(runner)
        for state in wrapper.optimizer.state.values()
    ]


def restore_state_(
    runner: Runner, checkpoint: Mapping[str, Any]
) -> RngState | None:
    """Restore the gradients that :func:`gather_state` has found.

    Returns:
        The states of this rank's generators, for the caller to set at the
        right time; None if the checkpoint has none for this rank.
    """
    _restore_gradients_(runner, checkpoint.get('gradients', []))
    states = checkpoint.get('rng_state', [])
    if states and len(states) != get_world_size():
        runner.logger.warning(
            f'The checkpoint is of {counted(len(states), "process")}, this '
            f'run has {get_world_size()}; it will not end as that one'
        )
    return dict(enumerate(states)).get(get_rank())


def _restore_gradients_(
    runner: Runner, gradients: Sequence[Mapping[str, Tensor]]
) -> None:
    """Continue a gradient accumulation where :func:`gather_state` found it.

    With another number of ranks, each rank takes the average, to which the
    gradients would have been reduced.
    """
    params = dict(bare_model(runner).named_parameters())
    if len(gradients) == get_world_size():
        gradients = [gradients[get_rank()]]
    for of_rank in gradients:
        for name, grad in of_rank.items():
            param = params[name]
            share = grad.to(param.device) / len(gradients)
            param.grad = share if param.grad is None else param.grad + share


def check_progress(runner: Runner, checkpoint: Mapping[str, Any]) -> None:
    """Raise ValueError unless a run can go on from where a checkpoint is.

    It would draw all batches before that iteration.
    """
    # After the same epochs with other batches there are other iterations.
    by_iter = hasattr(runner.train_loop, 'dataloader_iterator')
    most = dict(iter=runner.max_iters if by_iter else math.inf, epoch=math.inf)
    for name, limit in most.items():
        value = checkpoint['meta'][name]
        if type(value) is not int or not 0 <= value <= limit:
            raise ValueError(
                f'its {name} must be a whole number from 0 to {limit}, the '
                f'length of this run, got {value!r:.99}'
            )
