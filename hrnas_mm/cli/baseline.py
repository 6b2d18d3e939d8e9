"""Configs of baselines without a search: the shared part of their tools."""

import os.path as osp
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable

from ..building import build_model
from ..deploy import cost_model_of
from ..engine.latency import given_latency, parse_target
from ..engine.searched_config import searched_config
from ..search import COSTS, Budget
from ..search.architecture import Architecture
from ..search.budget import LATENCY
from ..search.cost import MACS
from ..search_in_config import search_shape
from .config import add_config_arguments, read_config
from .errors import add_force, check_new, clear_errors


def baseline_parser(description: str | None) -> ArgumentParser:
    """Return a parser of what baselines need: config, output file, budget."""
    parser = ArgumentParser(
        description=description, formatter_class=RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument(
        'out',
        nargs='?',
        help='config file to write; default: a file in this folder, named '
        'after the config and the baseline',
    )
    parser.add_argument(
        '--target',
        required=True,
        help="budget: a number, a string such as '1.91G' or '6ms', or a "
        'ratio of the supernet',
    )
    parser.add_argument(
        '--cost',
        help=f'cost that the target counts: {", ".join(COSTS)}, or one of '
        f'your own; default: {LATENCY} with --latency, else {MACS.name}',
    )
    parser.add_argument(
        '--latency',
        metavar='TABLE',
        help='table of milliseconds, from tools/measure_latency.py',
    )
    add_force(parser)
    return parser


def write_baseline(
    args: Namespace,
    name: str,
    draw: Callable[[Budget], Architecture],
) -> None:
    """Write the config of a network within the budget; print what it costs.

    Args:
        args: Arguments that :func:`baseline_parser` has read.
        name: Name of the baseline, used if no output file is given.
        draw: Function that returns an architecture within a budget.
    """
    cfg = read_config(args)
    config_name = osp.splitext(osp.basename(args.config))[0]
    out = args.out or f'{config_name}_{name}.py'
    cost = args.cost or (LATENCY if args.latency else None)
    target = {cost: args.target} if cost else args.target
    with clear_errors():
        check_new(out, args.force)
        cost_model = cost_model_of(build_model(cfg), search_shape(cfg))
        latency = given_latency(args.latency, cost_model)
        budget = parse_target(target, cost_model, '--target', latency)
        architecture = draw(budget)
    config = searched_config(cfg, architecture)
    assert config is not None  # the model has units in its backbone
    config.dump(out)
    total = budget.spent(architecture)
    print(
        f'{out}: {budget.cost.format(total)} {budget.cost.noun}, '
        f'{total / budget.amount:.1%} of the budget'
    )
