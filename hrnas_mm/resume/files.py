"""Checkpoint files: never half written, and errors that say what to do."""

import errno
import os.path as osp
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import CheckpointLoader, Runner
from torch import nn

from .. import compat
from ..compat_checkpoints import remove_own_after_saving_
from ..files import replacing
from ..patching import Patch
from .pointer import (
    latest_checkpoint,
    name_relatively_,
    resume_from_folder_,
)


def guard_loading_(runner: Runner) -> None:
    """Make a runner load without running code, and name the file in errors.

    A run that resumes without a path does so from its own folder, wherever
    that has been moved.
    """
    if 'load_or_resume' in vars(runner):
        return
    compat.load_plainly_(
        runner, '_init_model_weights', 'load_checkpoint', 'load_or_resume'
    )
    runner.load_or_resume = reading(runner)(runner.load_or_resume)
    resume_from_folder_(runner)


def checkpoint_to_resume(runner: Runner) -> Mapping[str, Any] | None:
    """Return the content of the checkpoint that a run goes on from.

    Returns:
        What is in the file; None if the run begins anew.

    Raises:
        RuntimeError: If it cannot be loaded.
    """
    if not runner._resume:
        return None
    path = _path_to_load(runner)
    if path is None:
        return None
    with reading(runner), compat.plain_loading():
        return CheckpointLoader.load_checkpoint(path, 'cpu')


@contextmanager
def reading(runner: Runner) -> Iterator[None]:
    """Make errors about the contents of a checkpoint name its file.

    The message also says what to do.

    Raises:
        RuntimeError: In place of any error: which ones a damaged file causes
            cannot be known in advance.
    """
    try:
        yield
    except Exception as error:
        path = _path_to_load(runner)
        problem = str(error)
        if not isinstance(error, (ValueError, OSError, RuntimeError)):
            problem = f'{type(error).__name__}: {problem}'
        problem = problem.replace(f'{path} is', 'it is').rstrip('.')
        advice = (
            '. To go on from an earlier one, give its path after --resume'
            if runner._resume
            else ''
        )
        raise RuntimeError(
            f'{path} cannot be loaded: {problem}{advice}'
        ) from error


def _path_to_load(runner: Runner) -> str | None:
    return runner._load_from or latest_checkpoint(runner.work_dir)


def guard_saving_(runner: Runner) -> Patch:
    """Make a checkpoint replace an older file only when it is whole.

    ``before_checkpoint`` of all hooks is called on all ranks before rank 0
    saves.

    Returns:
        The patch of ``save_checkpoint``, to be removed after the training.
    """

    def guarded(save: Callable[..., None]) -> Callable[..., None]:
        def save_checkpoint(
            out_dir: str, filename: str, *args: Any, **kwargs: Any
        ) -> None:
            runner.call_hook('before_checkpoint')
            if not is_main_process():
                return
            if '://' in out_dir:  # remote storage, which replaces whole files
                save(out_dir, filename, *args, **kwargs)
                return
            path = osp.join(out_dir, filename)
            with failing_clearly(path, runner), replacing(path) as new:
                save(out_dir, osp.basename(new), *args, **kwargs)

        return save_checkpoint

    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            name_relatively_(hook, runner)
            remove_own_after_saving_(hook)
    return Patch(runner, 'save_checkpoint', guarded)


@contextmanager
def failing_clearly(path: str, runner: Runner) -> Iterator[None]:
    """Make an error while ``path`` is written say what to do.

    Raises:
        RuntimeError: If writing fails.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise RuntimeError(
            f'{path} could not be written: {str(error).rstrip(".")}. '
            f'{last_whole(runner)} Make '
            'room, or make the folder writable, and go on with --resume'
        ) from error


@contextmanager
def telling_of_full_disk(runner: Runner) -> Iterator[None]:
    """Make the error of a full disk say what to do, whoever writes.

    Raises:
        RuntimeError: In place of the OSError for a full disk or quota.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RuntimeError(
            f'{error}. {last_whole(runner)} Make room, and go on with --resume'
        ) from error


def last_whole(runner: Runner) -> str:
    """Return a sentence that names the checkpoint to resume from."""
    path = None
    with suppress(OSError, ValueError):
        path = latest_checkpoint(runner.work_dir)
    if path is None:
        return 'No checkpoint was written so far.'
    return f'The last whole checkpoint is {path}.'


def check_whole(checkpoint: Mapping[str, Any], model: nn.Module) -> None:
    """Raise ValueError unless a run can resume from a checkpoint.

    Args:
        checkpoint: Checkpoint as it was read.
        model: Model with the architecture of the checkpoint.
    """
    for key in ('meta', 'message_hub', 'state_dict', 'rng_state'):
        if key not in checkpoint:
            raise ValueError(
                f'it has no {key!r}: it is not of a run that could go on. To '
                'train on from its weights give it as load_from'
            )
    for what in checkpoint.get('left_out', ()):
        if str(what).startswith('optimizer'):
            raise ValueError(
                f'it lacks {what} which cannot be saved, so that the run '
                'cannot go on. To train on from its weights give it as '
                'load_from'
            )
    saved = {
        name.removeprefix('module.'): tensor
        for name, tensor in checkpoint['state_dict'].items()
    }
    for name, param in model.named_parameters():
        found = saved.get(name)
        if found is None or found.shape != param.shape:
            has = 'is not there' if found is None else tuple(found.shape)
            raise ValueError(
                f'{name} {"has shape " if found is not None else ""}{has}, '
                f'the model in the config has shape {tuple(param.shape)}'
            )
