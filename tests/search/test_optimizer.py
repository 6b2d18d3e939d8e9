"""Optimizers: what they keep of a parameter is sliced, or refused."""

from collections.abc import Callable
from typing import Any

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


@pytest.mark.parametrize(
    'kind, what',
    [
        (Matrices, "state 'GG'"),
        (InGroups, "group 'update_buffer'"),
        (AsAttribute, "attribute 'buffers'"),
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


def test_one_that_cannot_be_made_is_not_tried_out() -> None:
    """Its state is looked at after its first step."""

    class Wants(AdamW):
        def __init__(self, params: Any, model: nn.Module) -> None:
            super().__init__(params)

    model = supernet()
    try_out(Wants(model.parameters(), model))
