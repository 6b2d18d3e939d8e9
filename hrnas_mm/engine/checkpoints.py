"""Checkpoints: whole files, all that an exact resume needs, clear errors."""

import os
import os.path as osp
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mmengine.dist import (
    all_gather_object,
    barrier,
    get_rank,
    get_world_size,
    is_main_process,
)
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner, find_latest_checkpoint
from torch import Tensor, nn

from .. import compat
from ..search import architecture_in, check_architecture
from ..search.files import replacing
from .rng import rng_state
from .surgery import bare_model


def guard_loading_(runner: Runner) -> None:
    """Let a checkpoint that cannot be loaded name itself and the reason.

    Where the note of the latest checkpoint was cut off, the newest
    checkpoint takes its place.
    """
    if 'load_checkpoint' in vars(runner):
        return
    load = runner.load_checkpoint

    def load_checkpoint(filename: str, *args, **kwargs) -> dict:
        try:
            return load(filename, *args, **kwargs)
        except (RuntimeError, OSError, EOFError, ValueError) as error:
            problem = str(error)
        except pickle.UnpicklingError:
            problem = (
                'it is no checkpoint, or it holds Python objects, which could '
                'run code; only tensors and plain types are loaded'
            )
        raise RuntimeError(
            f'{filename} cannot be loaded: {problem}. To go on from an '
            'earlier one, give its path after --resume'
        )

    runner.load_checkpoint = load_checkpoint
    if runner._resume and runner._load_from is None:
        if is_main_process():
            _mend_note(runner.work_dir)
        barrier()


def _mend_note(work_dir: str) -> None:
    note = osp.join(work_dir, 'last_checkpoint')
    latest = find_latest_checkpoint(work_dir)
    if latest is None or '://' in latest or osp.isfile(latest):
        return
    found = [
        entry.path
        for entry in os.scandir(work_dir)
        if entry.name.startswith(('iter_', 'epoch_'))
        and entry.name.endswith('.pth')
    ]
    if not found:
        os.remove(note)
        return
    with replacing(note) as new, open(new, 'w') as file:
        file.write(max(found, key=osp.getmtime))


def guard_saving_(runner: Runner, prepare: Callable[[], None]) -> None:
    """Let a checkpoint take its file's place only when it is whole.

    ``del runner.save_checkpoint`` undoes it.

    Args:
        prepare: Called on all ranks before the first one saves.
    """
    save = runner.save_checkpoint

    def save_checkpoint(out_dir: str, filename: str, *args, **kwargs) -> None:
        prepare()
        if not is_main_process():
            return
        if '://' in out_dir:  # a store of its own, which replaces whole files
            save(out_dir, filename, *args, **kwargs)
            return
        path = osp.join(out_dir, filename)
        with writing(path, runner) as new:
            save(out_dir, osp.basename(new), *args, **kwargs)

    runner.save_checkpoint = save_checkpoint
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            compat.remove_after_saving_(hook)


@contextmanager
def writing(path: str, runner: Runner) -> Iterator[str]:
    """Yield a name to write to, see :func:`replacing`.

    Raises:
        RuntimeError: If writing fails; says what to do.
    """
    try:
        with replacing(path) as new:
            yield new
    except (OSError, RuntimeError) as error:
        raise RuntimeError(
            f'{path} could not be written: {error}. {last_whole(runner)} Make '
            'room, or make the folder writable, and go on with --resume'
        ) from error


def last_whole(runner: Runner) -> str:
    """Say which checkpoint a run can go on from."""
    path = find_latest_checkpoint(runner.work_dir)
    if path is None or not osp.isfile(path):
        return 'No checkpoint was written so far.'
    return f'The last whole checkpoint is {path}.'


def check_fits(
    checkpoint: Mapping[str, Any], model: nn.Module, whole: bool
) -> dict[str, int]:
    """Return the architecture of a checkpoint that fits the model.

    Args:
        checkpoint: As it was read.
        model: The supernet, or anything between it and the checkpoint.
        whole: Whether every other tensor has to fit too.

    Raises:
        ValueError: If it does not; names the first misfit.
    """
    state_dict = checkpoint.get('state_dict', checkpoint)
    found = architecture_in(state_dict, model)
    if found is None:
        raise ValueError(
            'it is of another network: none of its '
            f'{len(state_dict)} tensors, the first of them '
            f'{next(iter(state_dict), None)!r}, is an importance factor of '
            'the model in the config'
        )
    check_architecture(found, model)
    if whole:
        _check_tensors(state_dict, model)
    return found


def _check_tensors(state_dict: Mapping[str, Tensor], model: nn.Module) -> None:
    """Compare what no search unit owns; the units have been compared."""
    for name, tensor in model.state_dict().items():
        if name not in state_dict:
            continue
        found = state_dict[name].shape
        if len(found) != tensor.dim() or any(
            size > most for size, most in zip(found, tensor.shape)
        ):
            raise ValueError(
                f'{name} has shape {tuple(found)}, but the model in the '
                f'config {tuple(tensor.shape)}'
            )


def gather_state(runner: Runner) -> dict[str, Any]:
    """All that mmengine leaves out of a checkpoint; all ranks have to call.

    Returns:
        For every rank the state of its generators, and its gradients if an
        accumulation is under way.
    """
    gradients = {}
    if not runner.optim_wrapper.should_update():
        gradients = {
            name: param.grad.cpu()
            for name, param in bare_model(runner).named_parameters()
            if param.grad is not None
        }
    return dict(
        rng_state=all_gather_object(rng_state()),
        gradients=all_gather_object(gradients),
    )


def restore_gradients_(
    runner: Runner, gradients: Sequence[Mapping[str, Tensor]]
) -> None:
    """Take up an accumulation where :func:`gather_state` found it.

    On another number of ranks each takes the average, to which they would
    have been reduced.
    """
    params = dict(bare_model(runner).named_parameters())
    if len(gradients) == get_world_size():
        gradients = [gradients[get_rank()]]
    for of_rank in gradients:
        for name, grad in of_rank.items():
            param = params[name]
            share = grad.to(param.device) / len(gradients)
            param.grad = share if param.grad is None else param.grad + share
