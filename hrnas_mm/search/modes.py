"""Putting a model in train or eval mode for a while."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd


def evaluating(model: nn.Module) -> AbstractContextManager[None]:
    """Put the model in eval mode; restore every module's mode afterwards."""
    return in_mode(model, False)


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Put the model in a mode; restore every module's mode afterwards.

    Args:
        model: Model; its ``train()`` decides which modules change their mode.
        training: Whether to put it in train mode rather than eval mode.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def without_batches(model: nn.Module) -> Iterator[None]:
    """Put norms and dropout in eval mode, in which no batch matters.

    Norms that are synchronised over processes ask for a GPU otherwise.
    """
    kinds = _BatchNorm, _DropoutNd
    modules = [m for m in model.modules() if isinstance(m, kinds)]
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, mode in zip(modules, modes):
            module.training = mode
