"""Options for measuring a table of milliseconds, and what they choose."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from typing import Any

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import (
    add_config_arguments,
    add_round_argument,
    add_shape_argument,
    count_of,
    read_config,
)
from hrnas_mm.cli.errors import add_force
from hrnas_mm.deploy import cost_model_of
from hrnas_mm.latency.builder import TableBuilder
from hrnas_mm.runtimes import (
    ALL_DTYPES,
    RUNTIMES,
    CommandTimer,
    LocalTimer,
    Timer,
)
from hrnas_mm.runtimes.command import COMMAND, PATTERN
from hrnas_mm.search import REPORTED, CostModel
from hrnas_mm.search_in_config import search_shape


def measuring_parser(description: str | None) -> ArgumentParser:
    """Return the parser of the options for measuring a table."""
    parser = ArgumentParser(
        description=description, formatter_class=RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('out', help='JSON file to write')
    parser.add_argument(
        '--backend',
        choices=[*RUNTIMES, COMMAND],
        default='onnxruntime',
        help='what runs the network; default: %(default)s',
    )
    _add_command(parser)
    parser.add_argument(
        '--threads',
        type=count_of,
        default=1,
        help='number of CPU threads; default: %(default)s',
    )
    parser.add_argument(
        '--device',
        help='cpu or cuda, for channels_last, compile and cuda_graph, which '
        'needs cuda; default: cpu. With --backend command: name of the '
        'device, for the table',
    )
    parser.add_argument(
        '--dtype',
        choices=list(ALL_DTYPES),
        default='float32',
        help='type of weights and maps, float32 or int8 in onnxruntime, any '
        'in openvino; default: %(default)s. With --backend '
        'command: what it computes in, for the table; its files are in '
        'float32',
    )
    parser.add_argument(
        '--batch', type=count_of, default=1, help='number of images per batch'
    )
    _add_measuring(parser)
    add_shape_argument(parser)
    add_force(parser)
    return parser


def _add_command(parser: ArgumentParser) -> None:
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


def _add_measuring(parser: ArgumentParser) -> None:
    add_round_argument(parser, 'what is found to be fastest')
    parser.add_argument(
        '--points',
        choices=['few', 'many'],
        help='how many numbers of channels and tokens are timed; default: few '
        'with compile and command, where each takes seconds to make ready',
    )
    parser.add_argument(
        '--networks',
        type=count_of,
        default=12,
        metavar='N',
        help='number of random networks to calibrate with; default: '
        '%(default)s',
    )
    parser.add_argument(
        '--seconds',
        type=float,
        default=3.0,
        metavar='S',
        help='time limit of a part whose times do not settle; twice that for '
        'whole networks; default: %(default)s',
    )
    parser.add_argument(
        '--check',
        type=int,
        default=0,
        metavar='N',
        help='number of further networks to predict and to time',
    )


def timer_of(args: Namespace) -> Timer:
    """Return the timer that the options choose.

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
        return CommandTimer(
            args.files, args.device, args.command, args.pattern, args.dtype
        )
    for name in ('command', 'files'):
        if getattr(args, name) is not None:
            raise ValueError(
                f'--{name} needs --backend command, got --backend '
                f'{args.backend}'
            )
    runtime = RUNTIMES[args.backend]
    return LocalTimer(runtime, args.device or 'cpu', args.dtype)


def builder_of(args: Namespace, timer: Timer) -> TableBuilder:
    """Build the supernet of the config, and the builder of its table."""
    cfg = read_config(args)
    model = build_model(cfg).cpu().eval()
    cost_model = cost_model_of(model, args.shape or search_shape(cfg))
    if isinstance(timer, CommandTimer):
        timer.keep_to_(_facts(args, cost_model))
    return TableBuilder(
        model,
        cost_model,
        timer,
        args.batch,
        args.round,
        args.networks,
        args.seconds,
        few=dict(few=True, many=False).get(args.points),
    )


def _facts(args: Namespace, cost_model: CostModel) -> dict[str, Any]:
    """Return what the files of a table depend on, in plain types."""
    return dict(
        supernet=cost_model.supernet,
        costs=cost_model.totals(cost_model.supernet, REPORTED),
        input_shape=list(cost_model.input_shape),
        layers=cost_model.layers,
        batch=args.batch,
        round=args.round,
        threads=args.threads,
    )
