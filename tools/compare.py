"""Train configs with several seeds, and compare what they reach and cost.

    python tools/compare.py CONFIG ... --work-dir work_dirs/compared

Each run is an ordinary one of tools/train.py, in WORK_DIR/CONFIG/seed-N. A run
that is finished is not repeated, and one that was broken off is resumed: run
the same line again. Then all networks are timed as deployed, in turns, and
WORK_DIR gets comparison.md, comparison.json and comparison.png.

A search with latency=dict(...) measures a table of its own before each run,
while other runs may be training: give such configs the file of one table.
"""

import argparse
import os.path as osp
import signal
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from comparison.picture import mean_and_deviation, plot_comparison
from comparison.runs import Run, metric_of, network_of, runs_of
from comparison.trainings import Trainings

from hrnas_mm.cli.config import (
    add_round_argument,
    add_shape_argument,
    count_of,
)
from hrnas_mm.cli.errors import clear_errors
from hrnas_mm.files import replacing, write_json
from hrnas_mm.latency.networks import (
    conditions_of,
    ready_networks,
    time_networks,
)
from hrnas_mm.modules.deployed import form_of
from hrnas_mm.report import Table
from hrnas_mm.runtimes import ALL_DTYPES, RUNTIMES, LocalTimer
from hrnas_mm.search import count_params
from hrnas_mm.spelling import counted

TRAIN = osp.join(osp.dirname(osp.abspath(__file__)), 'train.py')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('configs', nargs='+', metavar='CONFIG')
    parser.add_argument(
        '--work-dir', required=True, help='folder of all runs and results'
    )
    parser.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        default=[0, 1, 2],
        metavar='N',
        help='seeds of the runs of each config; default: 0 1 2',
    )
    parser.add_argument(
        '--metric',
        default='mIoU',
        help='metric of the last evaluation; default: %(default)s',
    )
    parser.add_argument(
        '--jobs',
        type=count_of,
        default=1,
        metavar='N',
        help='number of runs at the same time; default: %(default)s',
    )
    add_timing(parser)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='options of all runs, as for tools/train.py',
    )
    return parser.parse_args()


def add_timing(parser: argparse.ArgumentParser) -> None:
    """Add the options for timing the trained networks."""
    parser.add_argument(
        '--backend',
        choices=list(RUNTIMES),
        default='onnxruntime',
        help='what runs the deployed networks; default: %(default)s',
    )
    parser.add_argument(
        '--device',
        default='cpu',
        help='cpu or cuda, on which networks are timed; default: %(default)s',
    )
    parser.add_argument(
        '--dtype',
        choices=list(ALL_DTYPES),
        default='float32',
        help='type of weights and maps when networks are timed; default: '
        '%(default)s',
    )
    parser.add_argument(
        '--threads',
        type=count_of,
        default=1,
        help='number of CPU threads when networks are timed; default: '
        '%(default)s',
    )
    add_round_argument(parser, 'what is fastest on the runtime')
    parser.add_argument(
        '--seconds',
        type=float,
        default=30,
        metavar='S',
        help='time limit of eight networks that take turns and whose times '
        'do not settle; default: %(default)s',
    )
    add_shape_argument(parser)


def measured(
    args: argparse.Namespace,
    timer: LocalTimer,
    runs: Iterable[Run],
    step: int,
) -> list[dict[str, Any]]:
    """Return what each network reaches and costs, timed in turns.

    Args:
        args: The command line.
        timer: Timer of the networks.
        runs: Finished runs.
        step: Step of channels, which are rounded up to its multiples.

    Raises:
        ValueError: If they have inputs of several shapes.
    """
    rows, models = [], {}
    shapes: dict[tuple[int, ...], str] = {}
    for run in runs:
        network = network_of(run, args.shape)
        shapes.setdefault(network.shape, run.config)
        rows.append(
            dict(
                name=osp.basename(osp.dirname(run.folder)),
                seed=run.seed,
                metric=metric_of(run, args.metric),
                macs=network.macs,
                params=count_params(network.model),
            )
        )
        models[run.folder] = network.model
    if len(shapes) > 1:
        raise ValueError(
            'networks must have inputs of one shape, or be given one by '
            f'--shape, got {shapes}'
        )
    (shape,) = shapes
    conditions = conditions_of(timer, shape, step)
    times = time_networks(
        ready_networks(models, conditions, timer), timer, args.seconds
    )
    for row, ms in zip(rows, times.networks):
        row['ms'] = round(ms, 4)
    return rows


def by_name(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each config."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row['name'], []).append(row)
    return found


def spread(values: Sequence[float], digits: int) -> str:
    """Return mean and standard deviation as text."""
    mean, deviation = mean_and_deviation(values)
    text = f'{mean:.{digits}f}'
    return text if deviation is None else f'{text} ± {deviation:.{digits}f}'


def cells(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a row of the table: seeds, metric and costs."""
    macs = [row['macs'] for row in rows]
    metrics = [row['metric'] for row in rows]
    fractions = all(abs(value) <= 1 for value in metrics)  # not percent
    return [
        str(len(rows)),
        spread(metrics, 4 if fractions else 2),
        '-' if None in macs else spread([m / 1e9 for m in macs], 4),
        spread([row['params'] / 1e6 for row in rows], 2),
        spread([row['ms'] for row in rows], 2),
    ]


def main() -> None:
    """Train what is missing, time all networks, and write the comparison."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    with clear_errors():
        timer = LocalTimer(RUNTIMES[args.backend], args.device, args.dtype)
        runs = runs_of(args.configs, args.seeds, args.work_dir)
        step = form_of(timer.form, 'auto', args.round, {}).step
        trainings = Trainings(TRAIN, args.metric, args.cfg_options)
        signal.signal(signal.SIGTERM, trainings.end)
        trainings.run(runs, args.jobs)
        rows = measured(args, timer, runs, step)
    table = table_of(args, rows)
    write(args, table, rows)
    print(table)


def table_of(
    args: argparse.Namespace, rows: Sequence[dict[str, Any]]
) -> Table:
    """Return the table of all networks, drawn from the numbers."""
    columns = (
        'network', 'seeds', args.metric, 'multiply-adds, G', 'parameters, M',
        f'ms, {args.backend}, {args.dtype}, {counted(args.threads, "thread")}',
    )  # fmt: skip
    body = [(name, *cells(each)) for name, each in by_name(rows).items()]
    return Table('', columns, body)


def write(
    args: argparse.Namespace, table: Table, rows: Sequence[dict[str, Any]]
) -> None:
    """Write the table, the numbers and the picture."""
    path = osp.join(args.work_dir, 'comparison')
    with replacing(f'{path}.md') as new, open(new, 'w') as file:
        file.write(table.markdown())
    write_json(f'{path}.json', rows, indent=1)
    points = {
        name: [(row['ms'], row['metric']) for row in each]
        for name, each in by_name(rows).items()
    }
    figure = plot_comparison(points, table.columns[-1], args.metric)
    with replacing(f'{path}.png') as new:
        figure.savefig(new, format='png', dpi=150)


if __name__ == '__main__':
    main()
