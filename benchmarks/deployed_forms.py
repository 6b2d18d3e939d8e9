"""Measure what decides the fastest deployed form of a block on a runtime.

    python benchmarks/deployed_forms.py onnxruntime --threads 1

Times chains of MixConv paths of many widths, kernel sizes and map sizes, in
turns, and fits the constants of hrnas_mm/modules/deployed/form.py to them. A
second table shows which widths are fast. docs/deploy.md has the results.
"""

import argparse
import statistics
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from hrnas_mm.cli.errors import clear_errors
from hrnas_mm.deploy import onnx_bytes
from hrnas_mm.modules.deployed import ChannelLayout, Path, Sum, path_module
from hrnas_mm.runtimes import RUNTIMES, LocalTimer, interleaved

ON_CPU = [name for name, each in RUNTIMES.items() if 'cpu' in each.devices]
CHAIN_LENGTHS = (2, 8)  # in blocks
MAP_SIZES = ((48, 64), (12, 16), (6, 8))
MAP_CHANNELS = (16, 48)


class Case(NamedTuple):
    """A block: paths between two maps of the same width.

    Attributes:
        stream: Channels of the maps.
        mid: Mid channels of each path.
        kernel_sizes: Kernel size of each path.
        size: Size (h, w) of the maps.
    """

    stream: int
    mid: int
    kernel_sizes: tuple[int, ...]
    size: tuple[int, int]

    def features(self) -> list[float]:
        """Return the regressors of the time, one per fitted constant."""
        pixels = self.size[0] * self.size[1]
        paths = len(self.kernel_sizes)
        taps = sum(size**2 for size in self.kernel_sizes)
        return [
            paths,
            paths * self.stream * pixels,
            paths * self.mid * pixels,
            taps * self.mid * pixels,
            paths * self.mid * self.stream * pixels,
        ]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('runtime', choices=ON_CPU, help='runtime to time')
    parser.add_argument(
        '--threads', type=int, default=1, help='number of threads; default: 1'
    )
    parser.add_argument(
        '--rounds', type=int, default=15, help='number of timed turns'
    )
    return parser.parse_args()


def chain(case: Case, length: int) -> nn.Sequential:
    """Build blocks that follow each other, with weights drawn at random."""
    stream = ChannelLayout.of(case.stream)

    def path(size: int) -> nn.Module:
        weights = Path(
            (torch.randn(case.mid, case.stream), torch.randn(case.mid)),
            (torch.randn(case.mid, 1, size, size), torch.randn(case.mid)),
            torch.randn(case.stream, case.mid),
            (nn.ReLU(inplace=True), nn.ReLU(inplace=True)),
            stride=1,
        )
        return path_module(weights, 1, stream, stream)

    return nn.Sequential(
        *(
            Sum(
                {
                    'shortcut': nn.Identity(),
                    **{f'k{size}': path(size) for size in case.kernel_sizes},
                }
            )
            for _ in range(length)
        )
    ).eval()


@torch.no_grad()
def nanoseconds(
    args: argparse.Namespace, cases: list[Case]
) -> dict[Case, float]:
    """Return the time of one block: a long chain minus a short one."""
    calls = {}
    timer = LocalTimer(RUNTIMES[args.runtime])
    for case in track(cases, 'Building', transient=True):
        image = torch.randn(1, case.stream, *case.size)
        for length in CHAIN_LENGTHS:
            make = partial(network, timer, chain(case, length), image)
            calls[case, length] = timer.ready('', make, image)()
    times = interleaved(calls, torch.device('cpu'), args.rounds)
    median = {key: statistics.median(taken) for key, taken in times.items()}
    short, long = CHAIN_LENGTHS
    return {
        case: 1e9 * (median[case, long] - median[case, short]) / (long - short)
        for case in cases
    }


def network(
    timer: LocalTimer, module: nn.Module, image: Tensor
) -> nn.Module | bytes:
    """Return the module, or its ONNX file if the timer runs files."""
    return onnx_bytes(module, image) if timer.onnx else module


def cases_to_fit() -> Iterator[Case]:
    """Yield blocks of one to three paths, at widths that are fast."""
    paths = ((3,), (5,), (7,), (3, 5), (3, 5, 7))
    for size, stream, mid in product(MAP_SIZES, MAP_CHANNELS, (16, 64)):
        for kernel_sizes in paths:
            yield Case(stream, mid, kernel_sizes, size)


def fit(times: dict[Case, float]) -> tuple[np.ndarray, float]:
    """Return the constants, and the median of the relative errors.

    Relative errors are minimised, as times differ widely between map sizes.
    """
    from scipy.optimize import nnls

    taken = np.array(list(times.values()))
    features = np.array([case.features() for case in times])
    constants, _ = nnls(features / taken[:, None], np.ones(len(taken)))
    errors = np.abs(features @ constants / taken - 1)
    return constants, float(np.median(errors))


def widths(args: argparse.Namespace) -> Table:
    """Return a table of the times at different widths."""
    table = Table(title='us per block of one 5x5 path, 48x64 pixels')
    mids = (12, 13, 14, 15, 16, 17, 20, 24, 28, 32, 40, 48)
    streams = (16, 18, 20, 24, 32)
    cases = [Case(s, m, (5,), MAP_SIZES[0]) for s in streams for m in mids]
    times = nanoseconds(args, cases)
    table.add_column('stream \\ mid')
    for mid in mids:
        table.add_column(str(mid), justify='right')
    for stream in streams:
        row = (times[Case(stream, m, (5,), MAP_SIZES[0])] / 1e3 for m in mids)
        table.add_row(str(stream), *(f'{value:.0f}' for value in row))
    return table


def main() -> None:
    """Time blocks, fit the constants, and print both."""
    args = parse_args()
    with clear_errors():
        LocalTimer(RUNTIMES[args.runtime])
    torch.set_num_threads(args.threads)
    console = Console(width=110, markup=False, emoji=False)
    times = nanoseconds(args, list(cases_to_fit()))
    constants, error = fit(times)
    names = ('call', 'add', 'channel', 'tap', 'mac')
    console.print(
        f'{RUNTIMES[args.runtime].form}, {args.threads} threads: '
        + ', '.join(f'{n}={c:.3g}' for n, c in zip(names, constants))
        + f' ns; median error {100 * error:.0f} %'
    )
    console.print(widths(args))


if __name__ == '__main__':
    main()
