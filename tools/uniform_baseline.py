"""Cut a supernet to a budget by a uniform width multiplier, to train it.

Writes a config of that network, with no search in it:

    python tools/uniform_baseline.py CONFIG OUT.py --target 0.1
    python tools/train.py OUT.py
"""

import argparse
import sys

from hrnas_mm.config import (
    add_config_arguments,
    build_model,
    prepare_config,
    search_shape,
    searched_config,
)
from hrnas_mm.engine.dense import cost_model_of
from hrnas_mm.search import parse_budget, uniform_architecture


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument('out', help='the config to write')
    parser.add_argument(
        '--target',
        required=True,
        help="multiply-adds: a number, a string such as '1.91G' or a ratio",
    )
    parser.add_argument(
        '--params', action='store_true', help='the target is in parameters'
    )
    return parser.parse_args()


def main() -> None:
    """Cut, write the config, say what it costs."""
    args = parse_args()
    cfg = prepare_config(args.config, args.cfg_options)
    model = build_model(cfg)
    cost_model = cost_model_of(model, search_shape(cfg))
    target = {'params' if args.params else 'macs': args.target}
    try:
        budget = parse_budget(target, cost_model, '--target')
        architecture = uniform_architecture(cost_model, budget)
    except ValueError as error:
        sys.exit(str(error))
    cfg.pop('work_dir')  # the new config's own name gives it one
    searched_config(cfg, architecture).dump(args.out)
    total = cost_model.total(architecture, budget.resource)
    print(
        f'{args.out}: {total} {budget.resource}, {total / budget.amount:.1%} '
        'of the budget'
    )


if __name__ == '__main__':
    main()
