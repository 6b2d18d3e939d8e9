"""Count the multiply-adds and parameters of a model, stage by stage."""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import nn

from hrnas_mm.building import build_model, load_network
from hrnas_mm.cli.config import (
    add_config_arguments,
    add_shape_argument,
    read_config,
)
from hrnas_mm.cli.errors import clear_errors
from hrnas_mm.deploy import dense_part, input_shape_of, stage_names
from hrnas_mm.search import (
    SearchUnit,
    count_params,
    named_search_units,
    trace,
)
from hrnas_mm.search.description import selections_in
from hrnas_mm.search_in_config import search_shape


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint to load, for example of a shrunk network',
    )
    add_shape_argument(parser)
    parser.add_argument(
        '--json', action='store_true', help='print JSON instead of a table'
    )
    return parser.parse_args()


def count(model: nn.Module, shape: Sequence[int]) -> dict[str, Any]:
    """Return multiply-adds, parameters and alive elements, by part too."""
    macs = trace(dense_part(model), shape).macs
    units = named_search_units(model)
    parts = {
        name: dict(
            macs=macs.get(name, 0),  # 0 for the encoder of a pseudo-image
            params=count_params(model.get_submodule(name)),
            **elements(units, name + '.'),
        )
        for name in stage_names(model)
    }
    total = dict(
        macs=macs[''],
        params=count_params(model),
        **elements(units, ''),
    )
    return dict(input_shape=list(shape), total=total, parts=parts)


def elements(units: dict[str, SearchUnit], prefix: str) -> dict[str, int]:
    """Return the numbers of alive channels and tokens under a prefix."""
    alive = dict(channels=0, tokens=0)
    for name, unit in units.items():
        if name.startswith(prefix):
            kind = 'tokens' if unit.kind == 'tokens' else 'channels'
            alive[kind] += len(unit)
    return alive


def print_table(counts: Mapping[str, Any]) -> None:
    """Print a table with a row per part, and the total."""
    table = Table(
        title=f'One image of {tuple(counts["input_shape"])}', show_footer=True
    )
    total = counts['total']
    for name, text in [
        ('part', 'total'),
        ('multiply-adds', f'{total["macs"] / 1e9:.4f} G'),
        ('parameters', f'{total["params"] / 1e6:.4f} M'),
        ('channels', str(total['channels'])),
        ('tokens', str(total['tokens'])),
    ]:
        table.add_column(
            name, text, justify='left' if name == 'part' else 'right'
        )
    for name, part in counts['parts'].items():
        table.add_row(
            name,
            f'{part["macs"] / 1e9:.4f} G',
            f'{part["params"] / 1e6:.4f} M',
            str(part['channels']),
            str(part['tokens']),
        )
    Console(markup=False, emoji=False).print(table)


def main() -> None:
    """Build the model, load the weights, count, and print."""
    args = parse_args()
    cfg = read_config(args)
    with clear_errors():
        model = (
            load_network(cfg, args.checkpoint)
            if args.checkpoint
            else build_model(cfg)
        )
        shape = input_shape_of(model, args.shape or search_shape(cfg))
        counts = count(model, shape)
    if args.json:
        print(json.dumps(counts))
        return
    print_table(counts)
    for text in selections_in(model):
        print(text)


if __name__ == '__main__':
    main()
