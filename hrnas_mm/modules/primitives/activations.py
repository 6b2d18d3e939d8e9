"""Activations whose gradients are taken by hand."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Undo = Callable[[Tensor], Tensor]


def activated(act: nn.Module, x: Tensor) -> tuple[Tensor, Undo]:
    """Return act(x), and what turns its gradient into that of x."""
    if type(act) is nn.ReLU:
        return x.relu_(), undo_relu(x)
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        out = act(x.clone())  # a copy, as some work in place
    return out.detach(), lambda grad: torch.autograd.grad(out, x, grad)[0]


def undo_relu(out: Tensor) -> Undo:
    """Return what turns the gradient of a ReLU's output into its input's."""
    return lambda grad: torch.ops.aten.threshold_backward.grad_input(
        grad, out, 0, grad_input=grad
    )
