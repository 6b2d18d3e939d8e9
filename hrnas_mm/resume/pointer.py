"""The checkpoint pointer: ``last_checkpoint``, which names the latest one."""

import os
import os.path as osp
from collections.abc import Callable
from typing import Any

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ..files import replacing
from ..patching import Patch

POINTER = 'last_checkpoint'


def checkpoints_in(folder: str, best: bool = False) -> list[str]:
    """Return the checkpoints that a run has saved in a folder, by age.

    Args:
        folder: Folder of the run.
        best: Whether to return those of ``save_best`` as well.
    """
    kinds = ('iter_', 'epoch_', 'best_')[: 3 if best else 2]
    if not osp.isdir(folder):
        return []
    found = [
        entry.path
        for entry in os.scandir(folder)
        if entry.name.startswith(kinds) and entry.name.endswith('.pth')
    ]
    return sorted(found, key=lambda path: (osp.getmtime(path), path))


def latest_checkpoint(folder: str) -> str | None:
    """Return the checkpoint that a run in a folder goes on from.

    It is the one in the folder that has the name in the pointer: a folder may
    have been moved or copied since. Where the checkpoints are written
    elsewhere, it is the file that the pointer names. A pointer that was cut
    off, or names nothing, stands for the newest checkpoint in the folder.

    Returns:
        The path of a file; None if the folder has no pointer.

    Raises:
        FileNotFoundError: If there is a pointer, but no checkpoint.
        ValueError: If the pointer names a file that is not on this machine.
    """
    pointer = osp.join(folder, POINTER)
    if not osp.isfile(pointer):
        return None
    named = _read(pointer)
    if '://' in named:
        raise ValueError(
            f'{pointer} must name a file on this machine, got {named!r:.200}: '
            'give its path after --resume'
        )
    if named.endswith('.pth'):
        for path in (osp.join(folder, osp.basename(named)), named):
            if osp.isfile(path):
                return path
    there = checkpoints_in(folder)
    if not there:
        raise FileNotFoundError(
            f'{pointer} names {named!r:.200}, which does not exist, and there '
            f'is no checkpoint in {folder}: give its path after --resume'
        )
    return there[-1]


def resume_from_folder_(runner: Runner) -> None:
    """Make a runner that resumes without a path do so from its work_dir.

    Each rank is told what the first of them has found.
    """
    if not runner._resume or runner._load_from is not None:
        return
    path = latest_checkpoint(runner.work_dir)
    barrier()
    if path is None:
        return
    pointer = osp.join(runner.work_dir, POINTER)
    named = _read(pointer)
    if osp.abspath(named) != osp.abspath(path):
        runner.logger.warning(
            f'{pointer} names {named!r:.200}; the run goes on from {path}'
        )
    runner._load_from = path


def name_relatively_(hook: CheckpointHook, runner: Runner) -> None:
    """Make a hook's pointer name its checkpoint relative to this folder.

    Upstream's names an absolute path, which is wrong once the folder of the
    run has been moved.
    """

    def relatively(save: Callable[..., None]) -> Callable[..., None]:
        def save_checkpoint(*args: Any, **kwargs: Any) -> None:
            save(*args, **kwargs)
            if is_main_process() and '://' not in str(hook.last_ckpt):
                _write(runner.work_dir, osp.relpath(str(hook.last_ckpt)))

        return save_checkpoint

    Patch(hook, '_save_checkpoint_with_step', relatively)


def _read(pointer: str) -> str:
    with open(pointer, errors='replace') as file:  # it may have been cut off
        return file.read().strip()


def _write(folder: str, path: str) -> None:
    pointer = osp.join(folder, POINTER)
    with replacing(pointer) as new, open(new, 'w') as file:
        file.write(path)
