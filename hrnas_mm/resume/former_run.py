"""The run that a work_dir already has, which a new one must not destroy."""

import ast
import os
import os.path as osp
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.runner import Runner

from ..files import read_checkpoint
from .lock import LOCK
from .pointer import POINTER, checkpoints_in, latest_checkpoint

# What makes a run the one that it is, by the keys of its config.
MATTERS = (
    'model',
    'data_preprocessor',
    'load_from',
    'train_dataloader',
    'train_cfg',
    'optim_wrapper',
    'param_scheduler',
    'custom_hooks',
    'default_hooks',
    'randomness',
)
# What may change in these: how data is loaded, and when it is evaluated.
MATTERS_NOT = (
    'num_workers',
    'persistent_workers',
    'prefetch_factor',
    'pin_memory',
    'collate_fn',
    'val_begin',
    'val_interval',
    'dynamic_intervals',
)

# What a checkpoint has as well, so that the config's is not used.
OVERRIDDEN = ('optim_wrapper.optimizer', 'param_scheduler')
# Default hooks that observe a run.
OBSERVERS = ('timer', 'logger', 'checkpoint', 'visualization', 'runtime_info')


def check_work_dir(cfg: Config, results: Sequence[str] = ()) -> None:
    """Raise ValueError if a run would destroy another one in its work_dir.

    That is a run of another config (the file's name does not count), or one
    that has ended. ``overwrite=True`` in the config allows it, and so does
    ``resume=True``, if there is a checkpoint in the folder to go on from.

    Args:
        cfg: Config of the run, with its ``work_dir``.
        results: Names of what a run writes into its folder at its end.

    Raises:
        ValueError: If there is such a run; the message says which.
    """
    folder = cfg.work_dir
    if cfg.get('overwrite') or _goes_on(cfg, folder):
        return
    why = _why_not(cfg, folder)
    ended = [name for name in results if osp.exists(osp.join(folder, name))]
    if why is None and ended:
        why = f'the results of a run that has ended, {ended[0]}'
    if why is not None:
        raise ValueError(
            f'work_dir {folder} has {why}: --resume goes on with that run, '
            '--overwrite removes it, and --work-dir gives this one another '
            'folder'
        )


def config_of(runner: Runner) -> Config:
    """Return a runner's config, with what the runner makes of it."""
    cfg = runner.cfg.copy()
    cfg.work_dir = runner.work_dir
    cfg.resume, cfg.load_from = runner._resume, runner._load_from
    return cfg


def _goes_on(cfg: Config, folder: str) -> bool:
    """Return whether a run goes on from a checkpoint in a folder."""
    if not cfg.get('resume'):
        return False
    path = cfg.get('load_from')
    if path is None:
        return osp.exists(osp.join(folder, POINTER))
    return osp.realpath(osp.dirname(path)) == osp.realpath(folder)


def _why_not(cfg: Config, folder: str) -> str | None:
    """Return what the checkpoints of a folder are, if not of this run."""
    there = checkpoints_in(folder)
    if not there:
        return None
    path = there[-1]
    try:
        meta = read_checkpoint(latest_checkpoint(folder) or path)['meta']
        former, now = _settings(meta['cfg']), _settings(cfg.pretty_text)
    except (KeyError, OSError, SyntaxError, TypeError, ValueError):
        return f'{osp.basename(path)}, a checkpoint of an unknown run'
    for key, old, new in _differences(former, now):
        return f'a run with another {key}, {old:.99} and not {new:.99}'
    length = former.get('train_cfg') or {}
    for reached, limit in (('iter', 'max_iters'), ('epoch', 'max_epochs')):
        end = str(length.get(limit))
        if end.isdigit() and meta.get(reached, 0) >= int(end):
            return f'a run that has ended, at {reached} {end}'
    return None


def note_changes(runner: Runner, checkpoint: Mapping[str, Any]) -> None:
    """Say what a config has otherwise than that of the run that it resumes.

    Args:
        runner: Runner that resumes.
        checkpoint: Checkpoint that it resumes from.

    Raises:
        ValueError: If the optimizer is of another kind.
    """
    try:
        former = _settings(checkpoint['meta']['cfg'])
    except (KeyError, SyntaxError, TypeError, ValueError):
        return
    changed = []
    now = _settings(runner.cfg.pretty_text)
    for key, old, new in _differences(former, now):
        if key == 'optim_wrapper.optimizer.type':
            raise ValueError(
                f'it has the state of the optimizer {old:.99}, but {key} is '
                f'{new:.99}. Resume with the former, or begin a new run from '
                'its weights with load_from'
            )
        if key.startswith(OVERRIDDEN):
            runner.logger.warning(
                f'Resume: {key} is {new:.99} in the config, but {old:.99} of '
                'the checkpoint is used'
            )
        elif key != 'load_from':
            changed.append(f'{key} is {new:.99}, it was {old:.99}')
    if changed:
        runner.logger.warning(f'Resume: {"; ".join(changed)}')


def check_optimizer(runner: Runner) -> None:
    """Raise ValueError if an optimizer has loaded the state of another kind.

    torch does not notice it before its next step.
    """
    optimizer: Any = getattr(runner.optim_wrapper, 'optimizer', None)
    for group in getattr(optimizer, 'param_groups', ()):
        for name in optimizer.defaults:
            if name not in group:
                raise ValueError(
                    f'its optimizer has no {name!r}, so that it is no '
                    f'{type(optimizer).__name__}. Resume with the optimizer '
                    'of before, or begin a new run with load_from'
                )


def _settings(text: str) -> dict[str, Any]:
    """Read what matters in the text of a config, without running it."""
    settings = {
        target.id: _value(statement.value)
        for statement in ast.parse(text).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name) and target.id in MATTERS
    }
    for name in OBSERVERS:
        if isinstance(settings.get('default_hooks'), dict):
            settings['default_hooks'].pop(name, None)
    return settings


def _value(node: ast.expr) -> Any:
    """Return dicts and lists as such, and all else as it is written."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict':
        return {str(k.arg): _value(k.value) for k in node.keywords}
    if isinstance(node, ast.Dict):
        return {
            ast.unparse(key) if key else '**': _value(value)
            for key, value in zip(node.keys, node.values)
        }
    if isinstance(node, (ast.List, ast.Tuple)):
        return list(map(_value, node.elts))
    return ast.unparse(node)


def _differences(
    old: Any, new: Any, key: str = ''
) -> Iterator[tuple[str, str, str]]:
    """Yield the key, and both values, of what is not the same."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in [*old, *(name for name in new if name not in old)]:
            if name not in MATTERS_NOT:
                inner = f'{key}.{name}' if key else name
                none = 'None'
                yield from _differences(
                    old.get(name, none), new.get(name, none), inner
                )
    elif (
        isinstance(old, list)
        and isinstance(new, list)
        and len(old) == len(new)
    ):
        for i, (before, now) in enumerate(zip(old, new)):
            yield from _differences(before, now, f'{key}[{i}]')
    elif old != new:
        yield key, _text(old), _text(new)


def _text(value: Any) -> str:
    return str(value).replace('"\'', "'").replace('\'"', "'")


@master_only
def remove_former_(runner: Runner, results: Sequence[str] = ()) -> None:
    """Remove the run in a work_dir if the config says ``overwrite=True``.

    Its pointer, checkpoints and results go. Its logs stay, and so do
    checkpoints that it wrote elsewhere, and other runs in folders of its
    results.
    """
    if not runner.cfg.get('overwrite'):
        return
    folder = runner.work_dir
    for path in checkpoints_in(folder, best=True):
        os.remove(path)
    for name in (POINTER, *results):
        _remove(osp.join(folder, name))


def _remove(path: str) -> None:
    """Remove a file, or a folder without the runs that are inside it."""
    if not osp.isdir(path) or osp.islink(path):
        with suppress(FileNotFoundError):
            os.remove(path)
    elif not osp.exists(osp.join(path, LOCK)):
        for name in os.listdir(path):
            _remove(osp.join(path, name))
        with suppress(OSError):  # there is a run in it
            os.rmdir(path)
