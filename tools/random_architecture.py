"""Draw a random network within a budget, as a baseline to train (Table 2).

Writes a config that trains this network without a search:

    python tools/random_architecture.py CONFIG OUT.py --target 0.1 --seed 0
    python tools/train.py OUT.py
"""

from functools import partial

from hrnas_mm.cli.baseline import baseline_parser, write_baseline
from hrnas_mm.search import random_architecture


def main() -> None:
    """Draw the network, write its config, and print what it costs."""
    parser = baseline_parser(__doc__)
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the random architecture'
    )
    args = parser.parse_args()
    draw = partial(random_architecture, seed=args.seed)
    write_baseline(args, f'random-{args.seed}', draw)


if __name__ == '__main__':
    main()
