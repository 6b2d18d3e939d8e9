"""The parts of a training step, to be timed, and what they keep in memory."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from hrnas_mm.deploy import stage_names


class TrainingStep:
    """Training steps of a model, in parts that follow each other.

    The loss is the mean square of all outputs.

    Args:
        model: Model in training mode; it takes one tensor.
        optimizer: Optimizer of its parameters.
        amp: Precision of automatic mixed precision, or None.

    Attributes:
        images: Input of the model, (B, C, H, W); to be set before a step.
        optimizer: The optimizer.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        amp: torch.dtype | None = None,
    ) -> None:
        self._model, self.optimizer = model, optimizer
        self.images = torch.empty(0)
        device = next(model.parameters()).device.type
        self._autocast = partial(
            torch.autocast, device, amp, enabled=amp is not None
        )
        self._scaler = torch.amp.GradScaler(
            device, enabled=amp is torch.float16
        )
        self._loss: Tensor | None = None

    def forward(self) -> None:
        """Compute the loss."""
        with self._autocast():
            outputs = tree_leaves(self._model(self.images))
        squares = [out.float().square().mean() for out in outputs]
        self._loss = torch.stack(squares).sum()

    def backward(self) -> None:
        """Compute the gradients."""
        assert self._loss is not None
        self._scaler.scale(self._loss).backward()
        self._loss = None

    def optimize(self) -> None:
        """Update the parameters."""
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.optimizer.zero_grad()

    def __call__(self) -> None:
        self.forward()
        self.backward()
        self.optimize()

    def fits(self, images: Tensor) -> bool:
        """Return whether a step of these images fits into a GPU's memory."""
        self.images = images
        try:
            self()
            return True
        except torch.cuda.OutOfMemoryError:
            return False
        finally:
            self._loss, self.images = None, torch.empty(0)
            self.optimizer.zero_grad()
            torch.cuda.empty_cache()

    def stages(self) -> dict[str, 'StageStep']:
        """Return a step of each stage alone, with the inputs that it gets."""
        inputs: dict[str, Any] = {}

        def keep(name: str, module: nn.Module, args: Any) -> None:
            inputs[name] = args

        handles = [
            self._model.get_submodule(name).register_forward_pre_hook(
                partial(keep, name)
            )
            for name in stage_names(self._model)
        ]
        try:
            with torch.no_grad(), self._autocast():
                self._model(self.images)
        finally:
            for handle in handles:
                handle.remove()
        return {
            name: StageStep(
                self._model.get_submodule(name), args, self._autocast
            )
            for name, args in inputs.items()
        }


class StageStep:
    """Forward and backward pass of one stage of a model."""

    def __init__(
        self, stage: nn.Module, args: Any, autocast: Callable[[], Any]
    ) -> None:
        self._stage, self._args, self._autocast = stage, args, autocast
        self._outputs: Sequence[Tensor] = ()

    def forward(self) -> None:
        """Compute the outputs."""
        args = tree_map_only(Tensor, _leaf, self._args)
        with self._autocast():
            self._outputs = tree_leaves(self._stage(*args))

    def backward(self) -> None:
        """Compute the gradients of parameters and inputs."""
        grads = [torch.ones_like(out) for out in self._outputs]
        torch.autograd.backward(self._outputs, grads)
        self._outputs = ()
        self._stage.zero_grad()

    def kept_bytes(self) -> int:
        """Return what a forward pass keeps in memory for the backward pass.

        Parameters do not count; memory that tensors share counts once.
        """
        sizes: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            self.forward()
        self._outputs = ()
        for param in self._stage.parameters():
            sizes.pop(param.untyped_storage().data_ptr(), None)
        return sum(sizes.values())


def _leaf(x: Tensor) -> Tensor:
    return x.detach().requires_grad_(x.is_floating_point())


def largest_batch(fits: Callable[[int], bool]) -> int:
    """Return the largest batch that fits, or up to a sixteenth less.

    Args:
        fits: Whether a batch of so many images fits.

    Returns:
        The number of images; 0 if not even one fits.
    """
    below, above = 0, 1
    while fits(above):
        below, above = above, 2 * above
    while above - below > max(1, below // 16):
        middle = (below + above) // 2
        if fits(middle):
            below = middle
        else:
            above = middle
    return below
