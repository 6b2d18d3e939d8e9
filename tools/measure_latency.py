r"""Measure a table of milliseconds on this device, for searches in ms.

    python tools/measure_latency.py CONFIG OUT.json --backend onnxruntime

Times the deployed form of every part of the supernet, alone, with several
numbers of channels and tokens, then whole networks, and fits the times of the
networks to the sums of their parts. Leave the machine alone meanwhile.

For another device, or another runtime, give a program that times a file:

    ... --backend command --command 'trtexec --onnx={onnx}' --files DIR \
        --pattern 'median = ([0-9.]+) ms' --device 'Jetson Orin'

Without --command the files are only written: time them where you like, write
times.csv beside them, and run the same line again. To check the table,

    --check 30

also times 30 other random networks, and compares them with the predictions.
"""

from collections.abc import Mapping

import torch
from measuring.latency_arguments import (
    builder_of,
    measuring_parser,
    timer_of,
)
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from hrnas_mm.cli.errors import check_new, clear_errors
from hrnas_mm.latency import Latency, LatencyTable
from hrnas_mm.latency.builder import TableBuilder
from hrnas_mm.latency.calibration import (
    adds_up,
    quality,
    random_networks,
    worst,
)
from hrnas_mm.latency.networks import NetworkTimes
from hrnas_mm.latency.table import Calibration, write_latency_table
from hrnas_mm.search.architecture import Architecture


def measure(
    builder: TableBuilder,
    others: Mapping[str, Architecture],
    console: Console,
) -> tuple[LatencyTable, NetworkTimes | None]:
    """Measure the table, and other networks if there are any."""
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        more = len(others) + 2 * bool(others)
        task = progress.add_task('', total=builder.steps + more)
        builder.report = lambda text: progress.update(
            task, description=text, advance=1, total=builder.steps + more
        )
        builder.settle_round_()
        # Before the first timing: without --command, the user times all files
        # at once.
        ready = builder.ready(others) if others else None
        table = builder.build()
        return table, builder.time(ready) if ready else None


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
    args = measuring_parser(__doc__).parse_args()
    torch.set_num_threads(args.threads)
    console = Console(width=100, markup=False, emoji=False)
    with clear_errors():
        check_new(args.out, args.force)
        builder = builder_of(args, timer_of(args))
        others = random_networks(builder.cost_model, args.check, seed=1000)
        table, times = measure(builder, others, console)
        write_latency_table(table, args.out)
    latency = builder.cost_model.counting(Latency(table))
    console.print(f'{args.out}: {table.conditions}')
    fit = table.calibration
    console.print(networks_table('Networks that it is fitted to', fit))
    parts = ' + '.join(f'{x:.3g} {kind}' for kind, x in fit.factors.items())
    console.print(
        f'{fit.offset:.3g} + ({parts}) ** {fit.exponent:.3g} ms; '
        f'{verdict(fit)}'
    )
    if not adds_up(fit):
        console.print(
            'The parts do not add up on this device: a search '
            f'will end near its target, but not at it. Worst: {worst(fit)}.'
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
            f'{verdict(found)}; times divided by {slowdown:.3f}, the '
            'slowdown of the device since the table was measured'
        )


if __name__ == '__main__':
    main()
