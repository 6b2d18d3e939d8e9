"""Checkpoint files: never half written, and errors that say what to do."""

import errno
import os
import os.path as osp
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import (
    CheckpointLoader,
    Runner,
    find_latest_checkpoint,
)
from torch import nn

from .. import compat
from ..files import read_checkpoint, replacing
from ..patching import Patch


def guard_loading_(runner: Runner) -> None:
    """Make a runner load without running code, and name the file in errors.

    If ``last_checkpoint``, the file that names the latest checkpoint, was cut
    off, it is rewritten with the newest checkpoint in the work_dir.
    """
    if 'load_or_resume' in vars(runner):
        return
    init_weights, load = runner._init_model_weights, runner.load_or_resume

    def init_model_weights() -> None:
        with compat.plain_loading():
            init_weights()

    def load_or_resume() -> None:
        with reading(runner), compat.plain_loading():
            load()

    runner._init_model_weights = init_model_weights
    runner.load_or_resume = load_or_resume
    _mend_pointer_for_all(runner)


def checkpoint_to_resume(runner: Runner) -> Mapping[str, Any] | None:
    """Return the content of the checkpoint that a run goes on from.

    Returns:
        What is in the file; None if the run begins anew.

    Raises:
        RuntimeError: If it cannot be loaded.
    """
    if not runner._resume:
        return None
    _mend_pointer_for_all(runner)
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
    return runner._load_from or find_latest_checkpoint(runner.work_dir)


def _mend_pointer_for_all(runner: Runner) -> None:
    if runner._resume and runner._load_from is None:
        if is_main_process():
            _mend_pointer(runner)
        barrier()


def _mend_pointer(runner: Runner) -> None:
    """Rewrite ``last_checkpoint`` if a killed process left it incomplete."""
    pointer = osp.join(runner.work_dir, 'last_checkpoint')
    latest = find_latest_checkpoint(runner.work_dir)
    if latest is None or latest.endswith('.pth'):
        return
    found = [
        entry.path
        for entry in os.scandir(runner.work_dir)
        if entry.name.startswith(('iter_', 'epoch_'))
        and entry.name.endswith('.pth')
    ]
    if not found:
        raise FileNotFoundError(
            f'{pointer} does not name a checkpoint, and there is none in '
            f'{runner.work_dir}: give its path after --resume'
        )
    newest = max(found, key=osp.getmtime)
    runner.logger.warning(
        f'{pointer} was cut off: {newest} is the newest there'
    )
    with replacing(pointer) as new, open(new, 'w') as file:
        file.write(newest)


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
            compat.remove_after_saving_(hook)
    return Patch(runner, 'save_checkpoint', guarded)


def check_own(runner: Runner) -> None:
    """Raise ValueError if a run would overwrite the checkpoints of another.

    Another run is one whose config has another name.
    """
    path = find_latest_checkpoint(runner.work_dir)
    if path is None or not osp.isfile(path):
        return
    try:
        meta = read_checkpoint(path).get('meta', {})
    except ValueError:  # half written, or mmengine's own: of an unknown run
        return
    names = [
        re.sub(r'_\d{8}_\d{6}$', '', str(name))
        for name in (meta.get('experiment_name', ''), runner.experiment_name)
    ]
    if names[0] and names[0] != names[1]:
        raise ValueError(
            f'work_dir {runner.work_dir} has checkpoints of {names[0]}, which '
            f'this run of {names[1]} would overwrite: give another --work-dir'
        )


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
    path = find_latest_checkpoint(runner.work_dir)
    if path is None or not osp.isfile(path):
        return 'No checkpoint was written so far.'
    return f'The last whole checkpoint is {path}.'


def check_whole(checkpoint: Mapping[str, Any], model: nn.Module) -> None:
    """Raise ValueError unless a run can resume from a checkpoint.

    Args:
        checkpoint: Checkpoint as it was read.
        model: Model with the architecture of the checkpoint.
    """
    for key in ('meta', 'message_hub', 'state_dict'):
        if key not in checkpoint:
            raise ValueError(
                f'it has no {key!r}: it is not of a run that could go on. To '
                'train on from its weights give it as load_from'
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
