"""Check that the losses of a model train it, not the penalty alone."""

from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.config import Config
from torch import Tensor, nn

from ..nested import named_dicts
from ..search import named_search_units


def check_terms(losses: Mapping[str, Any], cfg: Config) -> None:
    """Raise ValueError if mmengine would add up none of a model's losses.

    It adds up those that have "loss" in their names.

    Args:
        losses: Losses that the model has returned, by name.
        cfg: Config of the run, in which the names are sought.
    """
    if any('loss' in name for name in losses):
        return
    keys = [
        f'{key}.loss_name'
        for key, node in named_dicts(cfg.get('model') or {}, 'model')
        if 'loss' not in str(node.get('loss_name', 'loss'))
    ]
    what = ' and '.join(keys) or 'the names of the losses of the model'
    raise ValueError(
        f"{what} must contain 'loss', got {', '.join(losses) or 'none'}: "
        'mmengine adds up only such terms'
    )


def learns(model: nn.Module) -> bool:
    """Return whether losses of its own have given a model a gradient.

    The penalty gives one to importance factors only. A model in which nothing
    else is trained is said to learn.
    """
    alphas = {id(u.alpha) for u in named_search_units(model).values()}
    others = [
        param
        for param in model.parameters()
        if param.requires_grad and id(param) not in alphas
    ]
    return not others or any(map(_has_gradient, others))


def _has_gradient(param: Tensor) -> bool:
    return param.grad is not None and bool(param.grad.any())


def not_learning(losses: Iterable[str]) -> str:
    """Return an error message that names losses which teach nothing."""
    names = ', '.join(name for name in losses if 'loss' in name)
    return (
        f"the model's own losses, {names}, must depend on its weights, but "
        'their gradient is 0, as that of a softmax over one class is: only '
        'the penalty would train'
    )
