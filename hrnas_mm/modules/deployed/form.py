"""Choosing how a network is deployed: paths to merge, widths to round."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from torch import nn

from .channel_layout import rounded

FUSE = ('auto', 'always', 'never')


class RuntimeConstants(NamedTuple):
    """Constants of a runtime that decide which form is fastest.

    Measured with one thread by ``benchmarks/deployed_forms.py``, on a CPU with
    AVX-512; see docs/deploy.md.

    Attributes:
        step: Number to whose multiples channels are rounded up.
        call: Fixed time of a path's three convolutions, in ns.
        add: Time of adding one more path, in ns per output channel and pixel.
        channel: Time of the depthwise convolution in ns per mid channel and
            pixel, whatever its kernel.
        tap: Its time in ns per mid channel, pixel and element of the kernel.
        mac: Time of a multiply-add of a 1x1 convolution, in ns.
        resize: Time of resizing or copying a map, in ns per channel and pixel,
            from the profile of ``tools/benchmark.py``.
    """

    step: int
    call: float
    add: float
    channel: float
    tap: float
    mac: float
    resize: float


CONSTANTS = dict(
    torch=RuntimeConstants(8, 94000, 0.817, 0.602, 0.0185, 0.0343, 1.5),
    onnxruntime=RuntimeConstants(16, 9490, 0.401, 0, 0.0156, 0.0283, 0.7),
    openvino=RuntimeConstants(16, 4890, 0, 0, 0.0263, 0.031, 2.5),
)


class Choice(NamedTuple):
    """Settle the form of one module, whatever the constants say.

    Attributes:
        division: Groups of the kernel sizes of a block's paths, each of which
            becomes one path; None where the constants decide.
        split: Whether a block of several maps reads each at its own size, and
            does not join them first; None where the constants decide.
    """

    division: tuple[tuple[int, ...], ...] | None = None
    split: bool | None = None


OPEN = Choice()  # the constants decide everything


@dataclass(frozen=True)
class Form:
    """Form in which a network is deployed.

    Args:
        constants: Constants of the runtime, by which 'auto' chooses.
        fuse: Whether paths are merged: 'always', 'never' or 'auto'.
        step: Number to whose multiples channels are rounded up.
        sizes: Input size (h, w) of parts, where it is known.
        choices: What is settled of modules, where it is.
        choice: What is settled of the module that is deployed with this form.
    """

    constants: RuntimeConstants
    fuse: str = 'auto'
    step: int = 1
    sizes: Mapping[nn.Module, tuple[int, int]] = field(default_factory=dict)
    choices: Mapping[nn.Module, Choice] = field(default_factory=dict)
    choice: Choice = OPEN

    def at(self, module: Any) -> 'Form':
        """Return the form for one module, with what is settled of it."""
        return replace(self, choice=self.choices.get(module, OPEN))

    def groups(
        self,
        counts: Mapping[int, int],
        widths: tuple[int, int],
        pixels: int | None,
    ) -> list[list[int]]:
        """Return which paths to merge, as groups of kernel sizes.

        Args:
            counts: Channels of each path by its kernel size.
            widths: Channels of the maps that the block reads and writes.
            pixels: Pixels of the output, None if they are not known.
        """
        sizes = sorted(counts)
        if self.fuse == 'never':
            return [[size] for size in sizes]
        if self.choice.division is not None:
            return [[*group] for group in self.choice.division]
        if self.fuse == 'always':
            return [sizes] if sizes else []
        return min(
            divisions(sizes),
            key=lambda groups: sum(
                self._time(group, counts, widths, pixels) for group in groups
            ),
        )

    def _time(
        self,
        group: Sequence[int],
        counts: Mapping[int, int],
        widths: tuple[int, int],
        pixels: int | None,
    ) -> float:
        """Estimate the ns per pixel that depend on how paths are merged."""
        constants = self.constants
        channels = rounded(sum(counts[size] for size in group), self.step)
        each = constants.channel + constants.tap * max(group) ** 2
        each += constants.mac * sum(widths)
        fixed = constants.call / pixels if pixels else 0
        return fixed + constants.add * widths[1] + each * channels


def form_of(
    runtime: str,
    fuse: str,
    round: int | str,
    sizes: Mapping[nn.Module, tuple[int, int]],
    choices: Mapping[nn.Module, Choice] | None = None,
) -> Form:
    """Return the form that the options of a user describe.

    Raises:
        ValueError: If an option is unknown.
    """
    if runtime not in CONSTANTS:
        raise ValueError(
            f'runtime must be one of {sorted(CONSTANTS)}, got {runtime!r}'
        )
    if fuse not in FUSE:
        raise ValueError(f'fuse must be one of {FUSE}, got {fuse!r}')
    constants = CONSTANTS[runtime]
    step = constants.step if round == 'auto' else round
    if not isinstance(step, int) or step < 1:
        raise ValueError(
            f"round must be 'auto' or a positive integer, got {round!r}"
        )
    return Form(constants, fuse, step, sizes, choices or {})


def divisions(sizes: Sequence[int]) -> Iterator[list[list[int]]]:
    """Yield all ways to divide a sequence into groups of neighbours."""
    if not sizes:
        yield []
    for end in range(len(sizes), 0, -1):
        for rest in divisions(sizes[end:]):
            yield [list(sizes[:end]), *rest]
