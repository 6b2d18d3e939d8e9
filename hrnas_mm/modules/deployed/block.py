"""Sums of deployed parts: blocks, chains of blocks, and what they add."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .convs import constant as frozen
from .form import Form
from .stream import Stream


class Parts(NamedTuple):
    """The deployed form of a part: its output is a sum.

    Attributes:
        modules: Modules that all take the input.
        constant: What is added to each channel, (C_out,).
    """

    modules: Mapping[str, nn.Module]
    constant: Tensor

    def beside_shortcut(self) -> 'Sum':
        """Return what is added to the shortcut, without the constant."""
        return Sum({k: m for k, m in self.modules.items() if k != 'shortcut'})


class Deployable(nn.Module):
    """A part that can be deployed, alone or between two maps."""

    in_channels: int
    out_channels: int

    def deployed_parts(
        self, form: Form, source: Stream, target: Stream
    ) -> Parts:
        """Return the modules and the constant that are the output."""
        raise NotImplementedError

    def deployed(self, form: Form) -> nn.Module:
        """Return what takes its place in a deployed network."""
        source = Stream.of(self.in_channels)
        target = Stream.of(self.out_channels)
        return finished(*summed(self, form, source, target))


class Sum(nn.ModuleDict):
    """The sum of the outputs of several modules, and of what is there already.

    One output after the other is added, so that a runtime can do each addition
    in the convolution that comes before it.

    Shape:
        (B, C_in, H, W), (B, C_out, H', W') -> (B, C_out, H', W')
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        constant: Tensor | None = None,
    ) -> None:
        super().__init__(modules)
        self.constant = (
            None if constant is None else frozen(constant[:, None, None])
        )

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        for module in self.values():
            out = module(x)
            onto = out if onto is None else onto + out
        if self.constant is not None:
            onto = self.constant if onto is None else onto + self.constant
        assert onto is not None
        return onto


@torch.no_grad()
def summed(
    part: Deployable, form: Form, source: Stream, target: Stream
) -> tuple[Sum, Stream]:
    """Return the deployed form of a part, and the stream that it puts out.

    Its constant becomes part of the bias of a convolution; without one, the
    stream has it still to be added.
    """
    modules, constant = part.deployed_parts(form, source, target)
    found = Sum(modules)
    if add_(found, target.rows(constant)):
        return found, target
    return found, target.adding(constant)


@torch.no_grad()
def add_(module: Sum, constant: Tensor) -> bool:
    """Add a constant to the output; return whether some bias can take it."""
    for part in module.values():
        conv = _last_conv(part)
        if conv is not None:
            conv.bias += constant
            return True
    return False


def _last_conv(module: nn.Module) -> Any:
    if isinstance(module, nn.Conv2d):
        return module
    if isinstance(module, nn.Sequential):
        return _last_conv(module[-1])
    return getattr(module, 'project_out', None)


def chained(
    parts: Iterable[Deployable], form: Form, source: Stream
) -> tuple[nn.Sequential, Stream]:
    """Return the deployed form of parts that follow each other.

    What is left of a part may be a constant alone. The parts after it take it
    up, or the last one before it.
    """
    chain = nn.Sequential()
    stream = source
    for part in parts:
        target = Stream.of(part.out_channels, form.step)
        module, stream = summed(part, form, stream, target)
        if any(not isinstance(m, nn.Identity) for m in module.values()):
            chain.append(module)
    if stream.constant is not None and len(chain):
        last = chain[-1]
        assert isinstance(last, Sum)
        if add_(last, stream.rows(stream.constant)):
            stream = Stream(stream.slots, stream.width)
    return chain, stream


def finished(module: Sum, stream: Stream) -> Sum:
    """Add what the stream of a module has still to be added, to its output."""
    if stream.constant is None:
        return module
    return Sum(dict(module.items()), stream.rows(stream.constant))


class Channels(nn.Module):
    """The channels of a stream, taken from its map.

    Shape:
        (B, width, H, W) -> (B, C, H, W)
    """

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.count = len(stream.slots)
        assert torch.equal(stream.slots, torch.arange(self.count))
        self.constant = (
            None
            if stream.constant is None
            else frozen(stream.constant[:, None, None])
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, : self.count]
        return x if self.constant is None else x + self.constant
