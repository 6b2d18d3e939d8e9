"""Slicing the state of an optimizer, and rejecting what cannot be sliced."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

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
            for tensor in _tensors_in(value):
                if tensor.shape != param.shape:
                    raise TypeError(
                        f'{type(optimizer).__name__} cannot be shrunk: its '
                        f'state {key!r} has shape {tuple(tensor.shape)} for a '
                        f'parameter of shape {tuple(param.shape)}; {_ADVICE}'
                    )
    for where, key in _elsewhere(optimizer):
        raise TypeError(
            f'{type(optimizer).__name__} cannot be shrunk: its {where} '
            f'{key!r} has tensors that belong to no parameter; {_ADVICE}'
        )


_ADVICE = (
    'use an optimizer with element-wise state, such as SGD, RMSprop, Adam or '
    'AdamW'
)


def try_out(optimizer: Optimizer) -> None:
    """Make two steps on dummy parameters with an optimizer of this kind.

    Only then is it known what state it keeps. An optimizer whose constructor
    or step needs more arguments than usual is not tried out.

    Raises:
        TypeError: If that state cannot be sliced.
    """
    group = optimizer.param_groups[0]
    params = [nn.Parameter(group['params'][0].new_ones(4, 3, 2, 2))]
    params.append(nn.Parameter(params[0].new_ones(4)))
    try:
        options = {name: group[name] for name in optimizer.defaults}
        trial = type(optimizer)(params, **options)
        for _ in range(2):
            for param in params:
                param.grad = param.new_full(param.shape, 0.1)
            trial.step()
    except Exception:
        return
    check_optimizer(trial, params)


def _elsewhere(optimizer: Optimizer) -> Iterator[tuple[str, str]]:
    """Yield the places outside its state where an optimizer keeps tensors.

    Each place is a pair: 'group' or 'attribute', and the name there.
    """
    own = {id(p) for g in optimizer.param_groups for p in g['params']}
    places = [('group', group) for group in optimizer.param_groups]
    places.append(('attribute', vars(optimizer)))
    for where, place in places:
        for key, value in place.items():
            if key in ('params', 'state', 'param_groups'):
                continue
            if isinstance(value, Optimizer) or any(
                id(tensor) not in own for tensor in _tensors_in(value)
            ):
                yield where, key


def _tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested containers, except zero-dimensional ones."""
    if isinstance(value, Tensor):
        if value.dim():
            yield value
    elif isinstance(value, dict):
        yield from _tensors_in(list(value.values()))
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _tensors_in(item)


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
        return type(value)(_sliced(item, slice_) for item in value)
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
