"""Putting a model in train or eval mode for a while."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from torch import nn


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
