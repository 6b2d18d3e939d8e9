"""Shrink a supernet to a budget by a uniform width multiplier, as a baseline.

Writes a config that trains this network without a search:

    python tools/uniform_baseline.py CONFIG OUT.py --target 0.1
    python tools/train.py OUT.py
"""

from hrnas_mm.cli.baseline import baseline_parser, write_baseline
from hrnas_mm.search import uniform_architecture


def main() -> None:
    """Shrink the network, write its config, and print what it costs."""
    args = baseline_parser(__doc__).parse_args()
    write_baseline(args, 'uniform', uniform_architecture)


if __name__ == '__main__':
    main()
