"""What a config describes, built: its model, its runner, its data."""

from copy import deepcopy
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import (
    DATASETS,
    MODELS,
    RUNNERS,
    init_default_scope,
)
from mmengine.runner import Runner
from torch import Tensor, nn

from .compat import quieten_, use_gloo_
from .data import check_data
from .files import naming, read_checkpoint, weights_in
from .frameworks import framework_of
from .resume import resume_exactly_


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config, for one process on any device."""
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    # Some models write into their config.
    return revert_sync_batchnorm(MODELS.build(deepcopy(cfg.model)))


def load_network(cfg: Config, path: str) -> nn.Module:
    """Build the model of a config and load weights, of a shrunk network say.

    Args:
        cfg: The config.
        path: A checkpoint; loading it runs no code.

    Raises:
        ValueError: If it is no checkpoint, or of another network; names the
            first misfit.
    """
    model = build_model(cfg)
    checkpoint = read_checkpoint(path)
    with naming(path):
        weights = weights_in(checkpoint)
    load_weights_(model, weights, path)
    return model


def load_weights_(
    model: nn.Module, state_dict: dict[str, Tensor], path: str
) -> None:
    """Load weights into a model, in place.

    Args:
        model: The model.
        state_dict: The weights.
        path: Where they are from.

    Raises:
        ValueError: If they are of another network; names the first misfit.
    """
    try:
        model.load_state_dict(state_dict)
    except RuntimeError as error:
        problem = str(error).splitlines()[1].strip()
        raise ValueError(
            f'{path} is of another network than that of the config: '
            + (problem if len(problem) < 300 else f'{problem[:300]} ...')
        ) from error


def build_runner(cfg: Config, *loaders: str) -> Runner:
    """Build the runner of a config, on GPUs or on the CPU.

    mmengine's own Runner writes checkpoints from which it resumes exactly.

    Args:
        cfg: Has its ``launcher`` and its ``work_dir``.
        loaders: Names of the data loaders whose folders have to be there.

    Raises:
        FileNotFoundError: See :func:`~hrnas_mm.data.check_data`.
    """
    check_data(cfg, *loaders)
    use_gloo_(cfg)
    framework = framework_of(cfg)
    framework.mend_()
    if framework.collate is not pseudo_collate:
        _collate_in_batches_(cfg)
    build = RUNNERS.build if 'runner_type' in cfg else Runner.from_cfg
    runner = build(cfg)
    quieten_(runner.logger)
    resume_exactly_(runner)
    return runner


def _collate_in_batches_(cfg: Config) -> None:
    """Do what mmpretrain's own train.py does: its models take no lists."""
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader is not None:
            loader.setdefault('collate_fn', dict(type='default_collate'))
            loader.setdefault('pin_memory', True)


@torch.no_grad()
def first_input(cfg: Config, model: nn.Module) -> Tensor:
    """Return what a model's backbone gets of the first test sample.

    Args:
        cfg: Has the ``test_dataloader``.
        model: Of the config.

    Returns:
        (B, C, H, W), an image or a pseudo-image.

    Raises:
        FileNotFoundError: If the data is not there.
    """
    if not cfg.get('test_dataloader'):
        raise FileNotFoundError('the config has no test_dataloader')
    check_data(cfg, 'test_dataloader')
    framework = framework_of(cfg)
    framework.mend_()
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    backbone = model.get_submodule('backbone')
    handle = backbone.register_forward_pre_hook(_stop)
    test_step: Any = model.eval().test_step
    try:
        test_step(framework.collate([dataset[0]]))
    except _Stopped as stopped:
        return stopped.image
    finally:
        handle.remove()
    raise FileNotFoundError('the first test sample did not reach the backbone')


class _Stopped(Exception):
    """What comes after the backbone's input does not matter."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.image = image


def _stop(module: nn.Module, args: tuple[Tensor, ...]) -> None:
    raise _Stopped(args[0])
