"""Building what a config describes: its model, its runner, its data."""

from copy import deepcopy
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import (
    MODELS,
    RUNNERS,
    init_default_scope,
)
from mmengine.runner import Runner, set_random_seed
from torch import Tensor, nn

from .check_files import check_data, check_workers
from .compat import load_plainly_, plain_loading, quieten_, use_gloo_
from .files import (
    load_weights_,
    naming,
    read_checkpoint,
    weights_in,
)
from .frameworks import framework_of
from .resume import resume_exactly_


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config, for one process on any device."""
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    model = deepcopy(cfg.model)  # some models modify their config
    if cfg.get('data_preprocessor') is not None:  # as mmengine's Runner does
        model.setdefault('data_preprocessor', deepcopy(cfg.data_preprocessor))
    with plain_loading():  # some load a teacher's checkpoint
        return revert_sync_batchnorm(MODELS.build(model))


def load_network(cfg: Config, path: str) -> nn.Module:
    """Build the model of a config and load weights, also of a shrunk network.

    Args:
        cfg: Config of the model.
        path: Path of a checkpoint; loading it runs no code.

    Raises:
        ValueError: If the file is not a checkpoint, or belongs to another
            network; the error then names what does not fit.
    """
    model = build_model(cfg)
    checkpoint = read_checkpoint(path)
    with naming(path):
        load_weights_(model, weights_in(checkpoint))
    return model


def build_runner(cfg: Config, *loaders: str) -> Runner:
    """Build the runner of a config, for GPUs or the CPU.

    If it is mmengine's own Runner, it writes checkpoints from which it
    resumes exactly.

    Args:
        cfg: Config with its ``launcher`` and ``work_dir`` set.
        loaders: Names of the dataloaders whose data has to be there.

    Raises:
        FileNotFoundError: See :func:`~hrnas_mm.check_files.check_data`.
    """
    check_data(cfg, *loaders)
    check_workers(cfg)
    use_gloo_(cfg)
    fit_to_framework_(cfg)
    build = RUNNERS.build if 'runner_type' in cfg else Runner.from_cfg
    with plain_loading():
        runner = build(cfg)
    quieten_(runner.logger)
    if isinstance(runner, Runner):
        resume_exactly_(runner)
    else:  # a FlexibleRunner
        load_plainly_(runner, 'load_or_resume')
        load_plainly_(runner.strategy, '_init_model_weights')
    return runner


def fit_to_framework_(cfg: Config) -> None:
    """Work around a framework's defects, and collate as it does itself."""
    framework_of(cfg).mend_()
    _collate_as_needed_(cfg)


def _collate_as_needed_(cfg: Config) -> None:
    """Collate as mmpretrain's own train.py does: its models take no lists."""
    if framework_of(cfg).collate is pseudo_collate:
        return
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader is not None:
            loader.setdefault('collate_fn', dict(type='default_collate'))
            loader.setdefault('pin_memory', True)


def first_input(cfg: Config, model: nn.Module) -> Tensor:
    """Return the backbone's input for the first test sample.

    Args:
        cfg: Config with a ``test_dataloader``.
        model: Model of the config.

    Returns:
        An image or a pseudo-image, shape (B, C, H, W).

    Raises:
        FileNotFoundError: If the data is missing.
    """
    return _input_of(model, _loader_of(cfg, 'test_dataloader'), 0)


def training_inputs(cfg: Config, model: nn.Module, count: int) -> list[Tensor]:
    """Return the backbone's inputs for some training samples.

    Which samples, and how they are augmented, depends on the config's
    ``randomness.seed``, 0 unless it says another; the global generators of
    random numbers begin with it.

    Args:
        cfg: Config with a ``train_dataloader``.
        model: Model of the config.
        count: Number of samples; fewer if there are not so many.

    Returns:
        Images or pseudo-images, each of shape (1, C, H, W).

    Raises:
        FileNotFoundError: If the data is missing.
    """
    loader = _loader_of(cfg, 'train_dataloader')
    set_random_seed((cfg.get('randomness') or {}).get('seed') or 0)
    order = torch.randperm(len(loader.dataset))[:count].tolist()
    return [_input_of(model, loader, i) for i in order]


def _loader_of(cfg: Config, name: str) -> Any:
    if not cfg.get(name):
        raise FileNotFoundError(f'the config has no {name}')
    check_data(cfg, name)
    fit_to_framework_(cfg)
    return Runner.build_dataloader(cfg[name])


@torch.no_grad()
def _input_of(model: nn.Module, loader: Any, index: int) -> Tensor:
    """Return the backbone's input for a sample."""
    backbone = model.get_submodule('backbone')
    handle = backbone.register_forward_pre_hook(_stop)
    model.eval()  # not chained: some models' eval() returns None
    test_step: Any = model.test_step
    try:
        test_step(loader.collate_fn([loader.dataset[index]]))
    except _Stopped as stopped:
        return stopped.image
    finally:
        handle.remove()
    raise FileNotFoundError(f'sample {index} did not reach the backbone')


class _Stopped(Exception):
    """Signal to end a forward pass once the backbone has its input."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.image = image


def _stop(module: nn.Module, args: tuple[Tensor, ...]) -> None:
    raise _Stopped(args[0])
