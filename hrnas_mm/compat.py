"""Work-arounds for upstream versions; each says what for, and until when."""

import logging
import os
import os.path as osp
import subprocess
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch import nn

from .files import read_checkpoint
from .nested import nested_dicts


def reseed_loading_(runner: Runner) -> None:
    """Build the training's data loader with the seed that was resumed.

    A run without a seed in its config draws one. mmengine resumes it, but
    only after it has built the data loader with another.

    Upstream: mmengine/runner/runner.py, resume. Can go when it is read before.
    """
    loop = runner.train_loop
    if not isinstance(runner._train_dataloader, dict):
        return
    loop.dataloader = runner.build_dataloader(
        {**runner._train_dataloader, 'dataset': loop.dataloader.dataset},
        seed=runner.seed,
        diff_rank_seed=runner._randomness_cfg.get('diff_rank_seed', False),
    )
    if hasattr(loop, 'dataloader_iterator'):
        loop.dataloader_iterator = _InfiniteDataloaderIterator(loop.dataloader)


def quieten_(logger: logging.Logger) -> None:
    """Leave out the log's line per parameter of ``paramwise_cfg``.

    Upstream: mmengine/optim/optimizer/default_constructor.py. Can go when it
    says them at DEBUG.
    """
    logger.addFilter(lambda r: 'paramwise_options -- ' not in r.getMessage())


def ignore_pkg_resources() -> None:
    """Do not repeat that pkg_resources will go.

    Upstream: mmengine/utils/package_utils.py. Can go when that imports
    importlib.metadata instead.
    """
    warnings.filterwarnings('ignore', 'pkg_resources is deprecated')


@contextmanager
def plain_loading() -> Iterator[None]:
    """Let mmengine read local files as tensors and plain types only.

    It leaves to torch, and to the environment, whether code in a checkpoint
    is run: before torch 2.6, and with TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD, it
    is.

    Upstream: mmengine/runner/checkpoint.py, load_from_local. Can go when it
    says ``weights_only=True``.
    """
    schemes = CheckpointLoader._schemes
    before = schemes['']
    schemes[''] = _read_local
    try:
        yield
    finally:
        schemes[''] = before


def _read_local(filename: str, map_location: Any) -> dict[str, Any]:
    path = osp.expanduser(filename)
    if not osp.isfile(path):
        raise FileNotFoundError(f'{filename} does not exist')
    return read_checkpoint(path)


def early_stopping_state(runner: Runner) -> dict[str, Any]:
    """Return how long every EarlyStoppingHook has waited, and for what.

    They forget it at a resume.

    Upstream: mmengine/hooks/early_stopping_hook.py. Can go when it saves its
    state.
    """
    states = [
        dict(wait_count=hook.wait_count, best_score=hook.best_score)
        for hook in _early_stopping_hooks(runner)
    ]
    return dict(early_stopping=states) if states else {}


def restore_early_stopping_(
    runner: Runner, checkpoint: Mapping[str, Any]
) -> None:
    """Take over what :func:`early_stopping_state` returned."""
    states = checkpoint.get('early_stopping', [])
    for hook, state in zip(_early_stopping_hooks(runner), states):
        vars(hook).update(state)


def _early_stopping_hooks(runner: Runner) -> list[EarlyStoppingHook]:
    return [h for h in runner.hooks if isinstance(h, EarlyStoppingHook)]


def remove_after_saving_(hook: CheckpointHook) -> None:
    """Keep old checkpoints until the new one is written.

    With ``max_keep_ckpts`` mmengine removes the oldest checkpoint first, and
    the oldest may be the only one.

    Upstream: mmengine, CheckpointHook._save_checkpoint_with_step and
    _save_best_checkpoint. Can go when they remove after saving.
    """
    for name in ('_save_checkpoint_with_step', '_save_best_checkpoint'):
        setattr(hook, name, _remove_after(hook, getattr(hook, name)))


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
            backend.remove(path)

    return save_then_remove


class _Keeping:
    """A file backend that only notes what it is told to remove."""

    def __init__(self, backend: Any, noted: list[str]) -> None:
        self.backend = backend
        self.remove = noted.append

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)


def sync_first_iteration_(model: nn.Module) -> None:
    """Let gradient accumulation begin with one all-reduce too many.

    DDP with ``static_graph`` crashes if its first backward pass is under
    ``no_sync()``. An all-reduce there changes nothing: averages are the same
    on all ranks, and averaging them once more leaves them as they are. (Up to
    rounding, where a run is resumed amid an accumulation.)

    Upstream: pytorch/pytorch#143580, #187732. Can go when that is released.
    """
    if not getattr(model, 'static_graph', False):
        return

    def first() -> AbstractContextManager[None]:
        del vars(model)['no_sync']
        return nullcontext()

    vars(model)['no_sync'] = first


def use_gloo_(cfg: Config) -> None:
    """Make a distributed run possible where there is no GPU.

    mmengine always selects a CUDA device for a rank, DDP then wants none,
    and SyncBN has no CPU kernel. Does nothing where there is a GPU, or only
    one process.

    Upstream: mmengine/dist/utils.py, _init_dist_pytorch and
    _init_dist_slurm. Can go when they start on a CPU.
    """
    if cfg.get('launcher') not in ('pytorch', 'slurm') or (
        get_device() != 'cpu'
    ):
        return
    if cfg.launcher == 'slurm':
        _set_slurm_ranks()
    if not dist.is_initialized():
        dist.init_process_group('gloo')
    wrapper = cfg.get('model_wrapper_cfg') or {}
    defaults = dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=cfg.get('broadcast_buffers', False),
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    if wrapper.get('type', defaults['type']) == defaults['type']:
        cfg.model_wrapper_cfg = {**defaults, **wrapper, 'device_ids': None}
    for node in nested_dicts(cfg._cfg_dict):
        if node.get('type') == 'SyncBN':
            node['type'] = 'BN'


def _set_slurm_ranks() -> None:
    """What slurm calls a rank, by the names that torch knows."""
    for ours, theirs in (
        ('RANK', 'SLURM_PROCID'),
        ('LOCAL_RANK', 'SLURM_LOCALID'),
        ('WORLD_SIZE', 'SLURM_NTASKS'),
    ):
        os.environ[ours] = os.environ[theirs]
    nodes = os.environ.get('SLURM_NODELIST')
    if nodes and 'MASTER_ADDR' not in os.environ:
        command = ['scontrol', 'show', 'hostnames', nodes]
        hosts = subprocess.check_output(command, text=True).split()
        os.environ['MASTER_ADDR'] = hosts[0]
    os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
    os.environ.setdefault('MASTER_PORT', '29500')
