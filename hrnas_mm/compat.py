"""Workarounds for upstream issues; each says why, and until when."""

import logging
import os
import os.path as osp
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.device import get_device
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch import Tensor, nn
from torch.autograd import Function

from .files import load_plain, read_checkpoint
from .nested import nested_dicts


def reseed_loading_(runner: Runner) -> None:
    """Rebuild the training dataloader with the seed that was resumed.

    A run without a seed in its config draws one. mmengine restores it at a
    resume, but only after it has built the dataloader with another seed.

    Upstream: mmengine/runner/runner.py, resume. Can be removed when the seed
    is restored first.
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
    """Drop the line that ``paramwise_cfg`` logs for every parameter.

    Upstream: mmengine/optim/optimizer/default_constructor.py. Can be removed
    when these lines are logged at level DEBUG.
    """
    logger.addFilter(lambda r: 'paramwise_options -- ' not in r.getMessage())


def ignore_pkg_resources() -> None:
    """Suppress the warning that pkg_resources is deprecated.

    Upstream: mmengine/utils/package_utils.py. Can be removed when this imports
    importlib.metadata instead.
    """
    warnings.filterwarnings('ignore', 'pkg_resources is deprecated')


def find_configs_of_forks_() -> None:
    """Make mmengine find ``mmseg::...`` where a fork of mmseg is installed.

    mmengine looks a framework's configs up by the name of its distribution,
    which a fork (``onedl-mmsegmentation``) changes. It then asks for, or even
    installs, the original over the fork.

    Upstream: mmengine/config/utils.py, MODULE2PACKAGE. Can be removed when
    the fork's mmengine knows the fork's names.
    """
    missing = [
        module
        for module, package in MODULE2PACKAGE.items()
        if find_spec(module) and not _is_distribution(package)
    ]
    names = metadata.packages_distributions() if missing else {}
    for module in missing:
        MODULE2PACKAGE[module] = names.get(module, [module])[0]


def _is_distribution(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


@contextmanager
def plain_loading() -> Iterator[None]:
    """Make torch and mmengine load checkpoints with ``weights_only=True``.

    Only tensors and plain types are then read, from files and from addresses
    of any scheme. mmengine leaves it to torch and to the environment whether
    code in a checkpoint is run: before torch 2.6, with
    TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD, and in torch.hub, which loads what is
    downloaded, it is.

    Upstream: mmengine/runner/checkpoint.py, load_from_*. Can be removed when
    these pass ``weights_only=True``.
    """
    schemes, load = CheckpointLoader._schemes, torch.load
    before = schemes['']
    schemes[''] = _read_local
    torch.load = load_plain  # type: ignore[assignment]
    try:
        yield
    finally:
        schemes[''], torch.load = before, load


def load_plainly_(owner: Any, *names: str) -> None:
    """Make methods of an object load without running code.

    Args:
        owner: Runner, or its strategy.
        names: Names of the methods, which load checkpoints.
    """
    for name in names:
        setattr(owner, name, plain_loading()(getattr(owner, name)))


def _read_local(filename: str, map_location: Any) -> dict[str, Any]:
    path = osp.expanduser(filename)
    if not osp.isfile(path):
        raise FileNotFoundError(f'{filename} does not exist')
    return read_checkpoint(path)


def sync_first_iteration_(model: nn.Module) -> None:
    """Add an all-reduce to the first iteration of a gradient accumulation.

    DDP with ``static_graph`` crashes if its first backward pass is under
    ``no_sync()``. An all-reduce there changes nothing: averages are the same
    on all ranks, and averaging them once more leaves them as they are. (Up to
    rounding, if a run is resumed in the middle of an accumulation.)

    Upstream: pytorch/pytorch#143580, #187732. Can be removed when the fix is
    released.
    """
    if not getattr(model, 'static_graph', False):
        return

    def first() -> AbstractContextManager[None]:
        del vars(model)['no_sync']
        return nullcontext()

    vars(model)['no_sync'] = first


def use_gloo_(cfg: Config) -> None:
    """Set up a distributed run with gloo on a machine without a GPU.

    mmengine always selects a CUDA device for a rank, DDP must not be given
    one on a CPU, and SyncBN has no CPU kernel. Does nothing if there is a GPU
    or the run is not distributed.

    Upstream: mmengine/dist/utils.py, _init_dist_pytorch and
    _init_dist_slurm. Can be removed when they can start on a CPU.
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
    """Copy slurm's variables for ranks to the names that torch reads."""
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


def take_channels_last_() -> None:
    """Make mmcv's deformable convolutions take maps in channels_last.

    Our networks compute in it on a CPU, where theirs demand contiguous maps.

    Upstream: mmcv/ops/csrc/pytorch/deform_conv.cpp, "input must be
    contiguous". Can be removed when they make their inputs contiguous.
    """
    names = ('deform_conv', 'modulated_deform_conv')
    for name in names:
        ops = sys.modules.get(f'mmcv.ops.{name}')
        for kind in vars(ops).values() if ops else ():
            if isinstance(kind, type) and issubclass(kind, Function):
                for method in ('forward', 'backward'):
                    _make_contiguous_(kind, method)


def _make_contiguous_(kind: type[Function], name: str) -> None:
    call = getattr(kind, name)
    if hasattr(call, '__wrapped__') and call.__module__ == __name__:
        return

    def contiguous(ctx: Any, *args: Any) -> Any:
        return call(
            ctx,
            *(x.contiguous() if isinstance(x, Tensor) else x for x in args),
        )

    contiguous.__wrapped__ = call  # type: ignore[attr-defined]
    setattr(kind, name, staticmethod(contiguous))
