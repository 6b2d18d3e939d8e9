"""Configs of networks that nobody searched, as command lines write them."""

import os.path as osp
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable

from .command import add_force, check_new, clear_errors
from .config import (
    add_config_arguments,
    build_model,
    read_config,
    search_shape,
    searched_config,
)
from .engine.dense import cost_model_of
from .search import Budget, CostModel, parse_budget
from .search.architecture import Architecture


def baseline_parser(description: str | None) -> ArgumentParser:
    """Read what all baselines need: a config, a budget, where to write."""
    parser = ArgumentParser(
        description=description, formatter_class=RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument(
        'out',
        nargs='?',
        help='the config to write; default: in this folder, by the name of '
        'the config and of the baseline',
    )
    parser.add_argument(
        '--target',
        required=True,
        help="multiply-adds: a number, a string such as '1.91G' or a ratio",
    )
    parser.add_argument(
        '--params', action='store_true', help='the target is in parameters'
    )
    add_force(parser)
    return parser


def write_baseline(
    args: Namespace,
    name: str,
    draw: Callable[[CostModel, Budget], Architecture],
) -> None:
    """Write the config of a network within the budget; say what it costs.

    Args:
        args: Of :func:`baseline_parser`.
        name: Of the baseline, for a file that was not named.
        draw: Returns the network's architecture.
    """
    cfg = read_config(args)
    config_name = osp.splitext(osp.basename(args.config))[0]
    out = args.out or f'{config_name}_{name}.py'
    target = {'params' if args.params else 'macs': args.target}
    with clear_errors():
        check_new(out, args.force)
        cost_model = cost_model_of(build_model(cfg), search_shape(cfg))
        budget = parse_budget(target, cost_model, '--target')
        architecture = draw(cost_model, budget)
    cfg.pop('work_dir')  # the new config's own name gives it one
    searched_config(cfg, architecture).dump(out)
    total = cost_model.total(architecture, budget.resource)
    print(
        f'{out}: {total} {budget.resource}, {total / budget.amount:.1%} of '
        'the budget'
    )
