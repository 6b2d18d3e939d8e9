"""Measure a table of milliseconds on this device, for searches in ms.

    python tools/measure_latency.py CONFIG OUT.json --backend onnxruntime

Times the deployed form of every part of the supernet, alone, with several
numbers of channels and tokens, then whole networks, and fits a line that leads
from the sum of the parts to the networks. Leave the machine alone meanwhile.

    --check 30

also times 30 random networks that the line was not fitted to, and compares.
"""

import argparse

import torch
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import (
    add_config_arguments,
    add_shape_argument,
    read_config,
    round_of,
)
from hrnas_mm.cli.errors import add_force, check_new, clear_errors
from hrnas_mm.engine.searched_config import search_shape
from hrnas_mm.measure import (
    RUN,
    check_runtimes,
    cost_model_of,
    share_threads,
)
from hrnas_mm.measure.calibration import adds_up, quality, random_networks
from hrnas_mm.measure.latency_table import TableBuilder
from hrnas_mm.search import Latency
from hrnas_mm.search.latency_table import Calibration, write_latency_table


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument('out', help='JSON file to write')
    parser.add_argument(
        '--backend',
        choices=list(RUN),
        default='onnxruntime',
        help='what runs the network; default: %(default)s',
    )
    parser.add_argument(
        '--threads',
        type=int,
        default=1,
        help='number of CPU threads; default: %(default)s',
    )
    parser.add_argument(
        '--batch', type=int, default=1, help='number of images per batch'
    )
    parser.add_argument(
        '--round',
        type=round_of,
        default='auto',
        metavar='N',
        help='number to whose multiples channels are rounded up; default: '
        'what is fastest on the runtime',
    )
    parser.add_argument(
        '--networks',
        type=int,
        default=12,
        metavar='N',
        help='number of random networks to fit the line to; default: '
        '%(default)s',
    )
    parser.add_argument(
        '--seconds',
        type=float,
        default=3.0,
        metavar='S',
        help='for how long a part is timed at most, if its times do not '
        'settle; whole networks three times as long; default: %(default)s',
    )
    parser.add_argument(
        '--check',
        type=int,
        default=0,
        metavar='N',
        help='number of further networks to predict and to time',
    )
    add_shape_argument(parser)
    add_force(parser)
    return parser.parse_args()


def builder_of(args: argparse.Namespace) -> TableBuilder:
    """Build the supernet of the config, and what measures its table."""
    cfg = read_config(args)
    model = build_model(cfg).cpu().eval()
    shape = args.shape or search_shape(cfg)
    return TableBuilder(
        model,
        cost_model_of(model, shape),
        args.backend,
        args.batch,
        args.round,
        args.networks,
        args.seconds,
    )


def verdict(calibration: Calibration) -> str:
    """Return how well predictions fit, in words."""
    return (
        f'median error {calibration.median_error:.1%}, worst '
        f'{calibration.worst_error:.1%}, Kendall tau '
        f'{calibration.kendall_tau:.3f}'
    )


def networks_table(
    title: str, predicted: list[float], measured: list[float]
) -> Table:
    """Return a table of networks, predicted and measured."""
    table = Table(title=title)
    for column in ('network', 'predicted ms', 'measured ms', 'error'):
        table.add_column(column, justify='right')
    for i, (ms, truth) in enumerate(zip(predicted, measured)):
        error = f'{ms / truth - 1:+.1%}'
        table.add_row(str(i + 1), f'{ms:.2f}', f'{truth:.2f}', error)
    return table


def main() -> None:
    """Measure the table, write it, and print how well it predicts."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    console = Console(width=100)
    with clear_errors():
        check_new(args.out, args.force)
        check_runtimes([args.backend])
        if args.backend == 'onnxruntime':
            share_threads()
        builder = builder_of(args)
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task(
            '', total=builder.steps + args.check + bool(args.check)
        )

        def say(text: str) -> None:
            progress.update(task, description=text, advance=1)

        builder.say = say
        table = builder.build()
        write_latency_table(table, args.out)
        latency = builder.cost_model.counting(Latency(table))
        others = random_networks(builder.cost_model, args.check, seed=1000)
        measured = builder.time(others) if others else []
    console.print(f'{args.out}: {table.conditions}')
    line = table.calibration
    console.print(
        f'{line.offset:.3g} ms'
        + ''.join(f' + {x:.3g} x {kind}' for kind, x in line.factors.items())
        + f'; {verdict(line)}'
    )
    if not adds_up(line):
        console.print(
            '[bold]The parts do not add up on this device[/bold]: a search '
            'will end near its target, but not at it.'
        )
    if others:
        predicted = [latency.total(each) for each in others]
        console.print(networks_table('Other networks', predicted, measured))
        console.print(verdict(quality(predicted, measured)))


if __name__ == '__main__':
    main()
