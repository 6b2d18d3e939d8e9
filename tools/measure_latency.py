r"""Measure a table of milliseconds on this device, for searches in ms.

    python tools/measure_latency.py CONFIG OUT.json --backend onnxruntime

Times the deployed form of every part of the supernet, alone, with several
numbers of channels and tokens, then whole networks, and fits a line that leads
from the sum of the parts to the networks. Leave the machine alone meanwhile.

For another device, or another runtime, give a program that times a file:

    ... --backend command --command 'trtexec --onnx={onnx}' --files DIR \
        --pattern 'median = ([0-9.]+) ms' --device 'Jetson Orin'

Without --command the files are only written: time them where you like, write
times.csv beside them, and run the same line again. To check the table,

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
from hrnas_mm.measure import DTYPES, RUN, cost_model_of
from hrnas_mm.measure.calibration import (
    adds_up,
    quality,
    random_networks,
    worst,
)
from hrnas_mm.measure.latency_table import TableBuilder
from hrnas_mm.measure.timer_of_files import COMMAND, PATTERN, TimerOfFiles
from hrnas_mm.measure.timers import Timer, TimerHere
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
        choices=[*RUN, COMMAND],
        default='onnxruntime',
        help='what runs the network; default: %(default)s',
    )
    add_command(parser)
    parser.add_argument(
        '--threads',
        type=int,
        default=1,
        help='number of CPU threads; default: %(default)s',
    )
    parser.add_argument(
        '--device',
        help='cpu or cuda, for channels_last and compile; default: cpu. With '
        '--backend command: name of the device, for the table',
    )
    parser.add_argument(
        '--dtype',
        choices=list(DTYPES),
        default='float32',
        help='type of weights and maps, float32 only in onnxruntime; default: '
        '%(default)s. With --backend command: what it computes in, for the '
        'table; its files are in float32',
    )
    parser.add_argument(
        '--batch', type=int, default=1, help='number of images per batch'
    )
    add_measuring(parser)
    add_shape_argument(parser)
    add_force(parser)
    return parser.parse_args()


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """Add the options of what is timed, and for how long."""
    parser.add_argument(
        '--round',
        type=round_of,
        default='auto',
        metavar='N',
        help='number to whose multiples channels are rounded up; default: '
        'what is found to be fastest',
    )
    parser.add_argument(
        '--points',
        choices=['few', 'many'],
        help='how many numbers of channels and tokens are timed; default: few '
        'with compile and command, where each takes seconds to make ready',
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
        'settle; whole networks twice as long; default: %(default)s',
    )
    parser.add_argument(
        '--check',
        type=int,
        default=0,
        metavar='N',
        help='number of further networks to predict and to time',
    )


def add_command(parser: argparse.ArgumentParser) -> None:
    """Add the options of times that are taken by another program."""
    parser.add_argument(
        '--command',
        metavar='TEXT',
        help='with --backend command: program that runs {onnx}, the path of a '
        'file, and prints milliseconds; without it, the files are only '
        'written, and their times are read from times.csv beside them',
    )
    parser.add_argument(
        '--pattern',
        metavar='REGEX',
        default=PATTERN,
        help='where the milliseconds are in what the command prints; '
        'default: the last number',
    )
    parser.add_argument(
        '--files',
        metavar='DIR',
        help='with --backend command: folder of the ONNX files and times',
    )


def timer_of(args: argparse.Namespace) -> Timer:
    """Return what times networks.

    Raises:
        ValueError: If options are missing, or do not go together.
    """
    if args.backend == COMMAND:
        if args.files is None or args.device is None:
            raise ValueError('--backend command needs --files and --device')
        if args.command is None and args.round == 'auto':
            raise ValueError(
                'without --command, --round N must be given: the step of '
                'channels that is best on the device'
            )
        return TimerOfFiles(
            args.files, args.device, args.command, args.pattern, args.dtype
        )
    for name in ('command', 'files'):
        if getattr(args, name) is not None:
            raise ValueError(
                f'--{name} needs --backend command, got --backend '
                f'{args.backend}'
            )
    return TimerHere(args.backend, args.device or 'cpu', args.dtype)


def builder_of(args: argparse.Namespace, timer: Timer) -> TableBuilder:
    """Build the supernet of the config, and what measures its table."""
    cfg = read_config(args)
    model = build_model(cfg).cpu().eval()
    shape = args.shape or search_shape(cfg)
    return TableBuilder(
        model,
        cost_model_of(model, shape),
        timer,
        args.batch,
        args.round,
        args.networks,
        args.seconds,
        few=dict(few=True, many=False).get(args.points),
    )


def verdict(calibration: Calibration) -> str:
    """Return how well predictions fit, in words."""
    return (
        f'median error {calibration.median_error:.1%}, worst '
        f'{calibration.worst_error:.1%}, Kendall tau '
        f'{calibration.kendall_tau:.3f}'
    )


def networks_table(title: str, calibration: Calibration) -> Table:
    """Return a table of networks, predicted and measured."""
    table = Table('network', title=title)
    for column in ('predicted ms', 'measured ms', 'error'):
        table.add_column(column, justify='right')
    for each in calibration.networks:
        table.add_row(
            each.network,
            f'{each.predicted:.2f}',
            f'{each.measured:.2f}',
            f'{each.error:+.1%}',
        )
    return table


def main() -> None:
    """Measure the table, write it, and print how well it predicts."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    console = Console(width=100)
    with clear_errors():
        check_new(args.out, args.force)
        builder = builder_of(args, timer_of(args))
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task(
            '', total=builder.steps + args.check + 2 * bool(args.check)
        )

        def say(text: str) -> None:
            progress.update(task, description=text, advance=1)

        builder.say = say
        table = builder.build()
        write_latency_table(table, args.out)
        latency = builder.cost_model.counting(Latency(table))
        others = random_networks(builder.cost_model, args.check, seed=1000)
        times = builder.time(builder.ready(others)) if others else None
    console.print(f'{args.out}: {table.conditions}')
    line = table.calibration
    console.print(networks_table('Networks that the line is fitted to', line))
    parts = ' + '.join(f'{x:.3g} {kind}' for kind, x in line.factors.items())
    console.print(
        f'{line.offset:.3g} + ({parts}) ** {line.exponent:.3g} ms; '
        f'{verdict(line)}'
    )
    if not adds_up(line):
        console.print(
            '[bold]The parts do not add up on this device[/bold]: a search '
            f'will end near its target, but not at it. Worst: {worst(line)}.'
        )
    if times is not None:
        slowdown = times.reference / table.reference
        found = quality(
            others,
            map(latency.total, others.values()),
            [ms / slowdown for ms in times.networks],
        )
        console.print(networks_table('Other networks', found))
        console.print(
            f'{verdict(found)}; times divided by {slowdown:.3f}, as the '
            'device took so many times as long by then'
        )


if __name__ == '__main__':
    main()
