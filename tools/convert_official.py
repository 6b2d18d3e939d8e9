"""Convert a network from the authors' released code.

    python tools/convert_official.py CONFIG checkpoint.json architecture.json
    python tools/convert_official.py CONFIG weights.pth model.pth

CONFIG is a config of this project with the supernet that the network was
searched in. The list of blocks in the authors' checkpoint.json becomes an
architecture for ``arch=...``; their weights become a checkpoint that CONFIG
loads as it is.
"""

import argparse
from collections.abc import Sequence

import torch
from conversion.official import (
    convert_state_dict,
    official_architecture,
    unused_params,
)
from mmengine.config import Config
from torch import Tensor, nn

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import (
    add_config_arguments,
    add_shape_argument,
    read_config,
)
from hrnas_mm.cli.errors import add_force, check_new, clear_errors
from hrnas_mm.deploy import cost_model_of
from hrnas_mm.files import (
    load_weights_,
    naming,
    read_checkpoint,
    read_json,
    replacing,
)
from hrnas_mm.report.amounts import in_words
from hrnas_mm.search import (
    Description,
    apply_architecture_,
    describe_architecture,
    fitting_architecture,
    write_architecture,
)
from hrnas_mm.search.architecture import Architecture
from hrnas_mm.search_in_config import search_shape


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument(
        'source',
        help="the authors' checkpoint.json, or a file of their weights",
    )
    parser.add_argument(
        'out', help='architecture (.json) or checkpoint (.pth) to write'
    )
    add_shape_argument(parser)
    add_force(parser)
    return parser.parse_args()


def shrunk(
    model: nn.Module,
    architecture: Architecture,
    cfg: Config,
    shape: Sequence[int] | None,
) -> Description:
    """Shrink the model and return the description of its architecture."""
    cost_model = cost_model_of(model, shape or search_shape(cfg))
    apply_architecture_(model, architecture)
    return describe_architecture(model, cost_model)


def weights_in(path: str) -> dict[str, Tensor]:
    """Return the state dict in a checkpoint of the released code."""
    checkpoint = read_checkpoint(path)
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint.get(key), dict):
            return checkpoint[key]
    return checkpoint


def convert(args: argparse.Namespace) -> Description:
    """Convert the source and return the description of its architecture."""
    check_new(args.out, args.force)
    cfg = read_config(args)
    model = build_model(cfg)
    if args.source.endswith('.json'):
        architecture = official_architecture(read_json(args.source), model)
        description = shrunk(model, architecture, cfg, args.shape)
        write_architecture(args.out, description)
        return description
    theirs = weights_in(args.source)
    state_dict = convert_state_dict(theirs, model)
    with naming(args.source):
        architecture = fitting_architecture(state_dict, model)
    description = shrunk(model, architecture, cfg, args.shape)
    with naming(args.source):
        load_weights_(model, state_dict)
    with replacing(args.out) as new:
        torch.save(
            dict(
                meta={},
                state_dict=model.state_dict(),
                architecture=description.as_json(),
            ),
            new,
        )
    kept = unused_params(theirs)
    if kept:
        params = description.costs['params'] + kept
        print(
            f'the released network has {params} parameters, {kept} of them '
            'unused, in empty blocks'
        )
    return description


def main() -> None:
    """Convert the source and print a summary of the network."""
    args = parse_args()
    with clear_errors():
        description = convert(args)
    shape = tuple(description.input_shape)
    print(f'{args.out}: {in_words(description.costs)} at {shape}')


if __name__ == '__main__':
    main()
