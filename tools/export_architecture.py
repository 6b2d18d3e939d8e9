"""Export the architecture of a checkpoint as JSON, to train it elsewhere.

    python tools/export_architecture.py CHECKPOINT OUT.json
    backbone=dict(type='HRNASSupernet', arch='OUT.json', ...)

A checkpoint of a search contains its architecture, whichever weights it holds.
For any other checkpoint, for example of a retrained network, give the config
with ``--config``.
"""

import argparse

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import prepare_config
from hrnas_mm.cli.errors import add_force, check_new, clear_errors
from hrnas_mm.deploy import cost_model_of
from hrnas_mm.files import read_checkpoint, weights_in
from hrnas_mm.report.amounts import in_words
from hrnas_mm.search import (
    Description,
    apply_architecture_,
    describe_architecture,
    fitting_architecture,
    read_description,
    write_architecture,
)
from hrnas_mm.search_in_config import search_shape


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'checkpoint',
        help='checkpoint of a run, or the model.pth of a searched network',
    )
    parser.add_argument('out', help='JSON file to write')
    parser.add_argument(
        '--config',
        help='config of the network, for a checkpoint that does not contain '
        'its architecture',
    )
    add_force(parser)
    return parser.parse_args()


def description_in(path: str, config: str | None) -> Description:
    """Return the description of an architecture from a checkpoint.

    With a config, it is found from the shapes of the tensors.

    Raises:
        ValueError: If the checkpoint does not contain the architecture, or
            does not fit the config.
    """
    if config is None:
        try:
            return read_description(path)
        except ValueError as error:
            raise ValueError(
                f'{error}; --config CONFIG reads it off the weights'
            ) from error
    cfg = prepare_config(config)
    model = build_model(cfg)
    cost_model = cost_model_of(model, search_shape(cfg))
    try:
        checkpoint = read_checkpoint(path)
        architecture = fitting_architecture(weights_in(checkpoint), model)
    except ValueError as error:
        raise ValueError(f'{path} does not fit {config}: {error}') from error
    apply_architecture_(model, architecture)
    return describe_architecture(model, cost_model)


def main() -> None:
    """Read the architecture, write it, and print what it costs."""
    args = parse_args()
    with clear_errors():
        if not args.out.endswith('.json'):  # readers go by the suffix
            raise ValueError(f'OUT must end in .json, got {args.out}')
        check_new(args.out, args.force)
        description = description_in(args.checkpoint, args.config)
        write_architecture(args.out, description)
    shape = tuple(description.input_shape)
    print(f'{args.out}: {in_words(description.costs)} at {shape}')


if __name__ == '__main__':
    main()
