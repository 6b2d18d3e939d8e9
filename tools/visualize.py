"""Draw searches: architectures, curves, metric against cost, reports.

architecture: Fig. 4 of the paper, with every searching block as a pie. The
source is the work_dir of a search, an architecture.json or a checkpoint;
several networks are drawn one below the other. If the output ends in .gif, the
picture is an animation of one search, from its work_dir.

search: cost, metric, alive elements (channels and tokens) and rho, the
coefficient of the penalty, over the iterations.

pareto: metric against cost, for several runs and their milestones.

report: the page that every search writes at its end, written again; with
--force over the old one.
"""

import argparse
import os
import os.path as osp
from collections.abc import Callable

from matplotlib.backend_bases import FigureCanvasBase

from hrnas_mm.cli.errors import add_force, check_new, clear_errors
from hrnas_mm.report import (
    Network,
    animate_search,
    draw_architectures,
    plot_pareto,
    plot_search,
    write_report,
)
from hrnas_mm.report.pies import network_at
from hrnas_mm.report.record import read_record
from hrnas_mm.search import read_description

Write = Callable[[str], None]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest='command', required=True)
    for name, argument, several, text in (
        (
            'architecture',
            'source',
            True,
            'draw every searching block as a pie, Fig. 4 of the paper; from '
            'a work_dir, an output that ends in .gif is an animation',
        ),
        (
            'search',
            'work_dir',
            False,
            'plot cost, metric, alive elements and rho over the iterations',
        ),
        ('pareto', 'work_dir', True, 'plot metric against cost, several runs'),
        ('report', 'work_dir', False, 'write the report of a run again'),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            argument,
            nargs='+' if several else 1,
            help='work_dir of a search'
            + (
                ', or its architecture.json, or one of its checkpoints'
                if argument == 'source'
                else ''
            ),
        )
        suffix = 'html' if name == 'report' else 'png'
        command.add_argument(
            '--out',
            help=f'file to write; default: {name}.{suffix}, in the work_dir '
            'if exactly one is given, otherwise in the current folder',
        )
        if name in ('search', 'pareto'):
            command.add_argument(
                '--metric',
                help='metric to plot; default: the main one of the task '
                '(mIoU, AP, ...)',
            )
        if name == 'pareto':
            command.add_argument(
                '--cost',
                help='cost to plot (macs, params, ...); default: that of the '
                'target',
            )
        command.set_defaults(suffix=suffix)
        add_force(command)
    args = parser.parse_args()
    args.sources = getattr(args, 'source', None) or args.work_dir
    return args


def name_of(source: str) -> str:
    """Return the name of a run's folder, or of a file with its folder."""
    parts = osp.abspath(source).split(os.sep)
    return parts[-1] if osp.isdir(source) else '/'.join(parts[-2:])


def network_of(source: str) -> Network:
    """Read a network from a work_dir, an architecture.json or a checkpoint.

    Raises:
        ValueError: If there is no network, or its supernet is not known.
    """
    if osp.isdir(source):
        return network_at(read_record(source), -1, name_of(source))
    content = read_description(source)
    if not content.supernet:
        raise ValueError(
            f'{source} does not say what the supernet had: it has no '
            '"supernet": {name: ...}'
        )
    return Network(
        name_of(source),
        content.supernet,
        content.units,
        content.costs,
    )


def picture_of(args: argparse.Namespace, out: str) -> Write:
    """Read the sources and return a function that writes their picture."""
    sources = args.sources
    if args.command == 'architecture':
        if out.endswith('.gif'):
            if len(sources) > 1 or not osp.isdir(sources[0]):
                raise ValueError('an animation is of the work_dir of a search')
            record = read_record(sources[0])
            name = name_of(sources[0])
            return lambda path: animate_search(record, name, path)
        figure = draw_architectures(list(map(network_of, sources)))
    elif args.command == 'search':
        figure = plot_search(read_record(sources[0]), args.metric)
    elif args.command == 'pareto':
        records = {source: read_record(source) for source in sources}
        figure = plot_pareto(records, args.metric, args.cost)
    else:
        read_record(sources[0])
        return lambda path: write_report(path, sources[0])
    suffixes = FigureCanvasBase.get_supported_filetypes()
    if osp.splitext(out)[1][1:] not in suffixes:
        raise ValueError(
            f'--out must end in one of .{", .".join(suffixes)}, got {out}'
        )
    return lambda path: figure.savefig(path, dpi=150)


def default_out(args: argparse.Namespace) -> str:
    """Return a path in the work_dir of a single run, else in this folder."""
    name = f'{args.command}.{args.suffix}'
    alone = len(args.sources) == 1 and osp.isdir(args.sources[0])
    return osp.join(args.sources[0], name) if alone else name


def main() -> None:
    """Read the command line and draw."""
    args = parse_args()
    out = args.out or default_out(args)
    with clear_errors():
        write = picture_of(args, out)
        check_new(out, args.force)
        write(out)
    print(f'The picture is in {out}')


if __name__ == '__main__':
    main()
