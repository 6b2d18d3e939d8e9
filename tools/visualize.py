"""Draw what a search did: ``search WORK_DIR OUT`` plots the descent."""

import argparse
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402

BLUE, ORANGE = '#0072B2', '#D55E00'  # told apart by colour-blind readers


def read_scalars(work_dir: Path) -> list[dict]:
    """All scalars that a run and its resumed parts wrote, in order.

    Raises:
        FileNotFoundError: If there are none.
    """
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(f'{work_dir} has no */vis_data/scalars.json')
    lines = [line for f in files for line in f.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def series(scalars: list[dict], key: str) -> tuple[list[int], list[float]]:
    """Steps and values of one scalar; the last value of a step counts."""
    values = {row['step']: row[key] for row in scalars if key in row}
    return list(values), list(values.values())


def plot_search(scalars: list[dict], metric: str, out: Path) -> None:
    """Plot multiply-adds and the metric over iterations."""
    figure, left = plt.subplots(figsize=(7, 3.2), layout='constrained')
    steps, macs = series(scalars, 'search/macs')
    last = max(row['step'] for row in scalars if 'step' in row)
    left.step(
        [*steps, last],
        [m / 1e9 for m in [*macs, macs[-1]]],
        where='post',
        color=BLUE,
    )
    left.set(xlabel='iteration', xlim=(0, last * 1.05))
    left.set_ylim(0, max(macs) / 1e9 * 1.25)
    left.set_ylabel('multiply-adds (G)', color=BLUE)
    right = left.twinx()
    steps, values = series(scalars, metric)
    right.plot(steps, values, 'o--', color=ORANGE)
    right.set_ylim(0, max(values) * 1.25)
    right.set_ylabel(metric, color=ORANGE)
    for step, value in zip(steps, values):
        right.annotate(
            f'{value:.1f}',
            (step, value),
            xytext=(0, 8),
            textcoords='offset points',
            ha='center',
            color=ORANGE,
        )
    figure.savefig(out, dpi=150)


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    search = commands.add_parser('search', help='multiply-adds and metric')
    search.add_argument('work_dir', type=Path, help='of the run')
    search.add_argument('out', type=Path, help='the picture to write')
    search.add_argument('--metric', default='mIoU', help='default: mIoU')
    args = parser.parse_args()
    try:
        scalars = read_scalars(args.work_dir)
    except FileNotFoundError as error:
        sys.exit(str(error))
    plot_search(scalars, args.metric, args.out)
    print(f'The plot is in {args.out}')


if __name__ == '__main__':
    main()
