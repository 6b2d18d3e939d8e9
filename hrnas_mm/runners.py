"""Reading mmengine's Runner: its models, and whether it trains."""

from mmengine.hooks import EMAHook
from mmengine.model import BaseAveragedModel, BaseTTAModel, is_model_wrapper
from mmengine.optim import BaseOptimWrapper
from mmengine.runner import Runner
from torch import nn


def bare_model(runner: Runner) -> nn.Module:
    """Return the runner's model without what it is wrapped in.

    That is a data-parallel wrapper, or test-time augmentation.
    """
    model = runner.model
    model = model.module if is_model_wrapper(model) else model
    return model.module if isinstance(model, BaseTTAModel) else model


def averaged_model(runner: Runner) -> BaseAveragedModel | None:
    """Return the EMA copy of the model that EMAHook keeps, or None."""
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            return getattr(hook, 'ema_model', None)
    return None


def evaluated_model(runner: Runner) -> nn.Module:
    """Return the model to evaluate and save: the EMA copy if there is one."""
    averaged = averaged_model(runner)
    return bare_model(runner) if averaged is None else averaged.module


def trains(runner: Runner) -> bool:
    """Return whether a runner is going to train, or has trained.

    In a test run the optimizer wrapper is still its config.
    """
    return isinstance(runner.optim_wrapper, BaseOptimWrapper)
