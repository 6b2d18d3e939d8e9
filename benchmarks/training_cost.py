"""Measure time and memory of a training step, and what a search adds to it.

    python benchmarks/training_cost.py CONFIG --shape 512 1024 --batch 2

Trains the model of the config on random images, with the memory-efficient
training form of MixConv and with the plain one in turns, and prints

- the time of the forward pass, the backward pass and the optimizer, and the
  peak of the memory that a step allocates;
- the same for each stage, with what its forward pass keeps in memory;
- what ProgressiveShrinkHook adds in an iteration without a shrink: the penalty
  with its gradient, the importance, and the checks.

On a GPU, --largest-batch also finds how many images fit.
"""

import argparse
import os
from copy import deepcopy
from typing import Any, cast

# Otherwise torch's profiler, which measures the memory, announces itself.
os.environ.setdefault('KINETO_LOG_LEVEL', '99')

import torch  # noqa: E402
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from torch import nn
from training_step import TrainingStep
from training_tables import (
    FORMS,
    random_images,
    table_of_batches,
    table_of_stages,
    table_of_steps,
    table_of_the_search,
)

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import (
    add_config_arguments,
    add_shape_argument,
    read_config,
)
from hrnas_mm.cli.errors import clear_errors
from hrnas_mm.compat_torch import keep_freed_memory
from hrnas_mm.deploy import cost_model_of, dense_part
from hrnas_mm.modules import MixConv
from hrnas_mm.search_in_config import search_shape


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    add_shape_argument(parser)
    parser.add_argument(
        '--batch', type=int, default=1, help='number of images per batch'
    )
    parser.add_argument(
        '--rounds', type=int, default=5, help='number of timed steps'
    )
    parser.add_argument(
        '--device',
        type=torch.device,
        default='cuda' if torch.cuda.is_available() else 'cpu',
    )
    parser.add_argument(
        '--amp',
        choices=['float16', 'bfloat16'],
        help='train in automatic mixed precision',
    )
    parser.add_argument(
        '--channels-last',
        action='store_true',
        help='give images and weights that memory format, as CPUs always do',
    )
    parser.add_argument(
        '--largest-batch',
        action='store_true',
        help='find how many images fit, and time them',
    )
    args = parser.parse_args()
    if args.largest_batch and args.device.type != 'cuda':
        parser.error(
            f'--largest-batch needs a GPU, got --device {args.device}'
        )
    return args


def training_steps(
    model: nn.Module, optim_wrapper: ConfigDict, args: argparse.Namespace
) -> dict[str, TrainingStep]:
    """Return the steps of the model in both forms of training."""
    model = model.to(args.device).train()
    if args.channels_last:
        # torch's types leave memory_format out.
        cast(Any, model).to(memory_format=torch.channels_last)
    amp = getattr(torch, args.amp) if args.amp else None
    plain = deepcopy(model)
    for network, saves_memory in ((model, True), (plain, False)):
        for module in network.modules():
            if isinstance(module, MixConv):
                module.memory_efficient = saves_memory
    return {
        form: TrainingStep(
            dense_part(network),
            build_optim_wrapper(network, optim_wrapper).optimizer,
            amp,
        )
        for form, network in zip(FORMS, (model, plain))
    }


def main() -> None:
    """Measure what was asked for, and print the tables."""
    args = parse_args()
    cfg = read_config(args)
    # Otherwise the optimizer's builder prints a line for each parameter.
    MMLogger.get_current_instance().setLevel('WARNING')
    with clear_errors():
        model = build_model(cfg)
        cost_model = cost_model_of(model, args.shape or search_shape(cfg))
    shape = cost_model.input_shape
    keep_freed_memory(args.device)  # as the hook does
    steps = training_steps(model, cfg.optim_wrapper, args)
    print(
        f'{args.batch} x {tuple(shape)} on {args.device}, '
        f'{args.amp or "float32"}'
    )
    for step in steps.values():
        step.images = random_images(args.batch, shape, args)
    table, whole = table_of_steps(steps, args)
    print(table)
    print(table_of_stages(steps, args))
    print(table_of_the_search(model, cost_model, whole, args))
    if args.largest_batch:
        print(table_of_batches(steps, shape, args))


if __name__ == '__main__':
    main()
