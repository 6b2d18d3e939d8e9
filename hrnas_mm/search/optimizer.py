"""Slicing the state of an optimizer, and rejecting what cannot be sliced."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def check_optimizer(optimizer: Optimizer, params: Iterable[Tensor]) -> None:
    """Raise TypeError if the optimizer's state cannot be sliced.

    Args:
        optimizer: Optimizer that has made a step; before, it has no state.
        params: Parameters whose state is checked.
    """
    for param in params:
        for key, value in optimizer.state.get(param, {}).items():
            for item in _items_in(value):
                if _fits(item, param):
                    continue
                kind = f'is of type {type(item).__name__}'
                if isinstance(item, Tensor):
                    kind = f'has shape {tuple(item.shape)}'
                raise TypeError(
                    f'{type(optimizer).__name__} cannot be shrunk: its '
                    f'state {key!r} {kind} for a parameter of shape '
                    f'{tuple(param.shape)}; {_ADVICE}'
                )
    for where, key in _elsewhere(optimizer):
        raise TypeError(
            f'{type(optimizer).__name__} cannot be shrunk: its {where} '
            f'{key!r} has tensors that belong to no parameter; {_ADVICE}'
        )


# What a checkpoint can hold beside tensors.
_PLAIN = (type(None), bool, int, float, str, bytes, torch.dtype)
_ADVICE = (
    'use an optimizer with element-wise state, such as SGD, RMSprop, Adam or '
    'AdamW'
)


def _fits(item: Any, param: Tensor) -> bool:
    if isinstance(item, Tensor):
        return not item.dim() or item.shape == param.shape
    return isinstance(item, _PLAIN)


def try_out(optimizer: Optimizer) -> None:
    """Make two steps on dummy parameters with optimizers of this kind.

    Only then is it known what state it keeps. An optimizer whose constructor
    or step needs more arguments than usual is not tried out.

    Raises:
        TypeError: If that state cannot be sliced.
    """
    for shape in ((4, 3, 2, 2), (4, 3), (4,)):
        trial = _after_two_steps(optimizer, shape)
        if trial is not None:
            check_optimizer(trial, trial.param_groups[0]['params'])


def _after_two_steps(
    optimizer: Optimizer, shape: tuple[int, ...]
) -> Optimizer | None:
    """Return an optimizer of the same kind that has made two steps.

    Args:
        optimizer: Optimizer whose kind and options count.
        shape: Shape of its only parameter.
    """
    group = optimizer.param_groups[0]
    param = nn.Parameter(group['params'][0].new_ones(shape))
    try:
        options = {name: group[name] for name in optimizer.defaults}
        trial = type(optimizer)([param], **options)
        for _ in range(2):
            param.grad = param.new_full(shape, 0.1)
            trial.step()
    except Exception:
        return None
    return trial


def _elsewhere(optimizer: Optimizer) -> Iterator[tuple[str, str]]:
    """Yield the places outside its state where an optimizer keeps tensors.

    Each place is a pair: 'group', 'attribute' or 'state', and the name there.
    """
    own = {id(p) for g in optimizer.param_groups for p in g['params']}
    places = [('group', group) for group in optimizer.param_groups]
    places.append(('attribute', vars(optimizer)))
    state: dict[Any, Any] = optimizer.state
    shared = {k: v for k, v in state.items() if not isinstance(k, Tensor)}
    places.append(('state', shared))
    for where, place in places:
        for key, value in place.items():
            if key in ('params', 'state', 'param_groups'):
                continue
            if isinstance(value, Optimizer) or any(
                isinstance(item, Tensor) and item.dim() and id(item) not in own
                for item in _items_in(value)
            ):
                yield where, key


def _items_in(value: Any) -> Iterator[Any]:
    """Yield what is in nested containers, or the value itself."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _items_in(item)
    else:
        yield value


def slice_state_(
    optimizer: Optimizer, param: Tensor, slice_: Callable[[Tensor], Tensor]
) -> None:
    """Slice the optimizer state of a parameter, in place."""
    state = optimizer.state.get(param, {})
    for key, value in state.items():
        state[key] = _sliced(value, slice_)


def _sliced(value: Any, slice_: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return slice_(value) if value.dim() else value
    if isinstance(value, dict):
        return {key: _sliced(item, slice_) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_sliced(item, slice_) for item in value]
        named = hasattr(value, '_fields')
        return type(value)(*items) if named else type(value)(items)
    return value


def forget_(
    optimizer: Optimizer,
    before: list[nn.Parameter],
    after: Iterable[nn.Parameter],
) -> None:
    """Remove parameters that have left the model from the optimizer.

    Args:
        optimizer: Optimizer of the model.
        before: Parameters of the model before the shrink.
        after: Parameters of the model after the shrink.
    """
    gone = {id(param) for param in before} - {id(param) for param in after}
    for group in optimizer.param_groups:
        for param in group['params']:
            if id(param) in gone:
                optimizer.state.pop(param, None)
        group['params'] = [p for p in group['params'] if id(p) not in gone]
