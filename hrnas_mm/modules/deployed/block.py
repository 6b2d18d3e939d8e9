"""Sums of deployed modules: blocks, and chains of blocks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .channel_layout import ChannelLayout
from .convs import constant as frozen
from .form import OPEN, Choice, Form


class Terms(NamedTuple):
    """The deployed form of a module: its output is a sum.

    Attributes:
        modules: Modules that all take the input.
        constant: What is added to each channel, (C_out,).
    """

    modules: Mapping[str, nn.Module]
    constant: Tensor

    def beside_shortcut(self) -> 'Sum':
        """Return what is added to the shortcut, without the constant."""
        return Sum({k: m for k, m in self.modules.items() if k != 'shortcut'})


class Deployable:
    """A module that declares what takes its place in a deployed network.

    A class with this base defines ``deployed``, or ``terms`` if others can be
    deployed together with it.

    Attributes:
        in_channels, out_channels: Channels of the maps that it reads and
            writes, if it has ``terms``.
        joined: Channels and relative stride of each map that it reads, the
            largest map first; empty if it reads one.
    """

    in_channels: int
    out_channels: int
    joined: Sequence[tuple[int, int]] = ()

    def deployed(self, form: Form) -> nn.Module:
        """Return what takes its place; the module itself may change for it."""
        source = ChannelLayout.of(self.in_channels)
        target = ChannelLayout.of(self.out_channels)
        return finished(*summed(self, form, source, target))

    def terms(
        self, form: Form, source: ChannelLayout, target: ChannelLayout
    ) -> Terms:
        """Return the modules and the constant whose sum is the output.

        Args:
            form: Form that it is deployed in.
            source, target: Layouts of the maps that it reads and writes.
        """
        raise NotImplementedError

    def options(self) -> Sequence[Choice]:
        """Return the choices of which one can be made for its form."""
        if self.joined:
            return [Choice(split=split) for split in (True, False)]
        return [OPEN]

    @classmethod
    def has_terms(cls) -> bool:
        """Return whether it can be deployed together with others."""
        return cls.terms is not Deployable.terms

    def deployed_counts(
        self, counts: Mapping[str, int], size: tuple[int, int], form: Form
    ) -> dict[str, int]:
        """Return how many elements its deployed units compute.

        Args:
            counts: Number of elements of every unit, by unit name.
            size: Height and width of the input.
            form: Form that it is deployed in.
        """
        return {unit: count for unit, count in counts.items() if count}


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
    part: Deployable, form: Form, source: ChannelLayout, target: ChannelLayout
) -> tuple[Sum, ChannelLayout]:
    """Return the deployed form of a part, and the layout that it puts out.

    Its constant becomes part of the bias of a convolution; without one, the
    layout has it still to be added.
    """
    modules, constant = part.terms(form, source, target)
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
    parts: Iterable[Deployable], form: Form, source: ChannelLayout
) -> tuple[nn.Sequential, ChannelLayout]:
    """Return the deployed form of parts that follow each other.

    What is left of a part may be a constant alone. The parts after it take it
    up, or the last one before it.
    """
    chain = nn.Sequential()
    layout = source
    for part in parts:
        target = ChannelLayout.of(part.out_channels, form.step)
        module, layout = summed(part, form, layout, target)
        if any(not isinstance(m, nn.Identity) for m in module.values()):
            chain.append(module)
    if layout.constant is not None and len(chain):
        last = chain[-1]
        assert isinstance(last, Sum)
        if add_(last, layout.rows(layout.constant)):
            layout = ChannelLayout(layout.slots, layout.width)
    return chain, layout


def finished(module: Sum, layout: ChannelLayout) -> Sum:
    """Add what the layout of a module has still to be added, to its output."""
    if layout.constant is None:
        return module
    return Sum(dict(module.items()), layout.rows(layout.constant))


class Channels(nn.Module):
    """The channels of a layout, taken from its map.

    Shape:
        (B, width, H, W) -> (B, C, H, W)
    """

    def __init__(self, layout: ChannelLayout) -> None:
        super().__init__()
        self.count = len(layout.slots)
        assert torch.equal(layout.slots, torch.arange(self.count))
        self.constant = (
            None
            if layout.constant is None
            else frozen(layout.constant[:, None, None])
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, : self.count]
        return x if self.constant is None else x + self.constant
