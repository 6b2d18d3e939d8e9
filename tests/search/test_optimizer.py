"""Optimizers: what they keep of a parameter is sliced, or refused."""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from test_cost import random_keep
from tiny import supernet
from torch import Tensor, nn
from torch.optim import SGD, AdamW

from hrnas_mm.search import check_optimizer, shrink_, try_out


class Keeping(SGD):
    """Keeps what ``keep_`` says, from the first step on."""

    keep_: Callable[..., None]

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for param in group['params']:
                self.keep_(group, param)


class Pairs(Keeping):
    """Element-wise, in containers."""

    def keep_(self, group: dict[str, Any], param: Tensor) -> None:
        moments = (param.detach().clone(), [param.detach() + 1])
        self.state[param].update(moments=moments, last=dict(x=moments[0] * 2))


class Matrices(Keeping):
    """As SOAP and Shampoo: a matrix for every axis, in a list."""

    def keep_(self, group: dict[str, Any], param: Tensor) -> None:
        self.state[param]['GG'] = [torch.eye(n) for n in param.shape]


class InGroups(Keeping):
    """As one Muon has it."""

    def keep_(self, group: dict[str, Any], param: Tensor) -> None:
        group['update_buffer'] = torch.zeros(8, 8)


class AsAttribute(Keeping):
    """By parameter, but where nobody looks."""

    def keep_(self, group: dict[str, Any], param: Tensor) -> None:
        vars(self).setdefault('buffers', {})[param] = param.detach() * 2


class Projector:
    """As GaLore's: tensors in an object."""

    def __init__(self, param: Tensor) -> None:
        self.matrix = param.detach().clone()


class Objects(Keeping):
    """As Conda: for matrices only."""

    def keep_(self, group: dict[str, Any], param: Tensor) -> None:
        if param.dim() == 2:
            self.state[param]['projector'] = Projector(param)


class ObjectsInLists(Keeping):
    """And for convolutions only."""

    def keep_(self, group: dict[str, Any], param: Tensor) -> None:
        if param.dim() == 4:
            self.state[param]['graft'] = [dict(by=Projector(param))]


class Queues(Keeping):
    """As AdaShift: tensors in what is no list."""

    def keep_(self, group: dict[str, Any], param: Tensor) -> None:
        self.state[param]['queue'] = deque([param.detach().clone()])


class Shared(Keeping):
    """In the state, but of no parameter."""

    def keep_(self, group: dict[str, Any], param: Tensor) -> None:
        state: dict[Any, Any] = self.state
        state['all'] = [torch.eye(3)]


class Moments(NamedTuple):
    first: Tensor
    step: Tensor


class Named(Keeping):
    """Element-wise, in a tuple with names."""

    def keep_(self, group: dict[str, Any], param: Tensor) -> None:
        moments = Moments(param.detach().clone(), torch.tensor(1.0))
        self.state[param]['moments'] = moments


@pytest.mark.parametrize(
    'kind, what',
    [
        (Matrices, "state 'GG'"),
        (InGroups, "group 'update_buffer'"),
        (AsAttribute, "attribute 'buffers'"),
        (Objects, "state 'projector' is of type Projector"),
        (ObjectsInLists, "state 'graft' is of type Projector"),
        (Queues, "state 'queue' is of type deque"),
        (Shared, "state 'all'"),
        (torch.optim.Adafactor, "state 'row_var'"),
    ],
)
def test_refused_before_it_has_made_a_step(kind: Any, what: str) -> None:
    model = supernet()
    optimizer = kind(model.parameters(), lr=0.1)
    with pytest.raises(TypeError, match=f'{kind.__name__} cannot .*{what}'):
        try_out(optimizer)
    assert not optimizer.state and set(vars(optimizer)) == set(
        vars(kind(model.parameters(), lr=0.1))
    )


def test_containers_of_elements_are_sliced() -> None:
    model = supernet()
    optimizer = Pairs(model.parameters(), lr=0.1)
    try_out(optimizer)
    optimizer.step()
    shrink_(model, random_keep(model), optimizer)
    check_optimizer(optimizer, model.parameters())
    for param in model.parameters():
        first, (second,) = optimizer.state[param]['moments']
        torch.testing.assert_close(first, param.detach())
        torch.testing.assert_close(second, param.detach() + 1)
        torch.testing.assert_close(
            optimizer.state[param]['last']['x'], 2 * first
        )


def test_named_tuples_of_elements_are_sliced() -> None:
    model = supernet()
    optimizer = Named(model.parameters(), lr=0.1)
    try_out(optimizer)
    optimizer.step()
    shrink_(model, random_keep(model), optimizer)
    for param in model.parameters():
        moments = optimizer.state[param]['moments']
        torch.testing.assert_close(moments.first, param.detach())
        assert moments.step == 1


def test_one_that_cannot_be_made_is_not_tried_out() -> None:
    """Its state is looked at after its first step."""

    class Wants(AdamW):
        def __init__(self, params: Any, model: nn.Module) -> None:
            super().__init__(params)

    model = supernet()
    try_out(Wants(model.parameters(), model))
