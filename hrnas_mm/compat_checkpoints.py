"""Workarounds for mmengine's checkpoints; each says until when."""

import os.path as osp
from collections.abc import Callable, Mapping
from typing import Any

from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.runner import Runner


def name_no_folder_(checkpoint: dict[str, Any]) -> None:
    """Leave of the paths in a checkpoint's message hub the names alone.

    They are those of the last and the best checkpoints, which are beside it.

    Upstream: mmengine/hooks/checkpoint_hook.py, which notes absolute paths.
    Can be removed when it notes names.
    """
    info = (checkpoint.get('message_hub') or {}).get('runtime_info', {})
    for name, path in info.items():
        paths = name == 'last_ckpt' or name.startswith('best_ckpt')
        if paths and isinstance(path, str):
            info[name] = osp.basename(path)


def remove_own_after_saving_(hook: CheckpointHook) -> None:
    """Make a hook remove only checkpoints of its own, and these late.

    With ``max_keep_ckpts`` mmengine removes the oldest checkpoint first, and
    the oldest may be the only one. The best one it removes wherever the
    checkpoint that was resumed says that it is: in the folder of another run,
    which a run goes on from, or anywhere.

    Upstream: mmengine, CheckpointHook._save_checkpoint_with_step and
    _save_best_checkpoint. Can be removed when they remove after saving, and
    from ``out_dir`` alone.
    """
    if getattr(hook, 'best_ckpt_path', None) is not None:
        hook.best_ckpt_path = _own(hook, hook.best_ckpt_path)
    paths = getattr(hook, 'best_ckpt_path_dict', {})
    for name, path in paths.items():
        paths[name] = _own(hook, path)
    for name in ('_save_checkpoint_with_step', '_save_best_checkpoint'):
        setattr(hook, name, _remove_after(hook, getattr(hook, name)))


def _own(hook: CheckpointHook, path: Any) -> str | None:
    """Return where the best checkpoint is in a hook's folder, or None."""
    path = _path_of(hook, str(path))
    own = osp.basename(path).startswith('best_') and path.endswith('.pth')
    return path if own and hook.file_backend.isfile(path) else None


def _path_of(hook: CheckpointHook, path: str) -> str:
    name = osp.basename(path)
    return str(hook.file_backend.join_path(hook.out_dir, name))


def _remove_after(
    hook: CheckpointHook, save: Callable[..., None]
) -> Callable[..., None]:
    def save_then_remove(*args: Any, **kwargs: Any) -> None:
        backend = hook.file_backend
        old: list[str] = []
        hook.file_backend = _Keeping(backend, old)
        try:
            save(*args, **kwargs)
        finally:
            hook.file_backend = backend
        for path in old:
            if path == _path_of(hook, path):
                backend.remove(path)

    return save_then_remove


class _Keeping:
    """File backend that only records which files it is told to remove."""

    def __init__(self, backend: Any, noted: list[str]) -> None:
        self.backend = backend
        self.remove = noted.append

    def rmtree(self, path: str) -> None:
        """Leave folders: only DeepSpeed's checkpoints are some."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)


def early_stopping_state(runner: Runner) -> dict[str, Any]:
    """Return the wait count and the best score of every EarlyStoppingHook.

    The hooks lose them at a resume.

    Upstream: mmengine/hooks/early_stopping_hook.py. Can be removed when the
    hook saves its state.
    """
    states = [
        dict(wait_count=hook.wait_count, best_score=hook.best_score)
        for hook in _early_stopping_hooks(runner)
    ]
    return dict(early_stopping=states) if states else {}


def restore_early_stopping_(
    runner: Runner, checkpoint: Mapping[str, Any]
) -> None:
    """Restore the state that :func:`early_stopping_state` returned."""
    states = checkpoint.get('early_stopping', [])
    for hook, state in zip(_early_stopping_hooks(runner), states):
        vars(hook).update(state)


def _early_stopping_hooks(runner: Runner) -> list[EarlyStoppingHook]:
    return [h for h in runner.hooks if isinstance(h, EarlyStoppingHook)]
