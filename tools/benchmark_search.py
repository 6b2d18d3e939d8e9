"""Time what a search adds to a training step: the penalty and the checks.

    python tools/benchmark_search.py CONFIG --shape 512 1024

Trains the model of the config on random images. Times the training steps and
what ProgressiveShrinkHook does in an iteration without a shrink: the
penalty as a loss with its gradient, the penalty as a proximal step, and the
checks.
"""

import argparse
import statistics
from collections.abc import Callable

import torch
from mmengine.optim import build_optim_wrapper
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import (
    add_config_arguments,
    add_shape_argument,
    read_config,
)
from hrnas_mm.deploy.dense import dense_part
from hrnas_mm.engine.checks import check_losses
from hrnas_mm.engine.searched_config import search_shape
from hrnas_mm.measure import cost_model_of, seconds
from hrnas_mm.search import CostModel, ResourcePenalty


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
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    return parser.parse_args()


def parts_of_a_step(
    model: nn.Module, images: Tensor, optimizer, cost_model: CostModel
) -> dict[str, Callable[[], None]]:
    """Return the training step and all that the hook adds to it."""
    penalty = ResourcePenalty(cost_model, model)
    losses = dict(loss=torch.ones((), device=images.device))

    def step() -> None:
        outputs = tree_leaves(model(images))
        sum(tensor.square().mean() for tensor in outputs).backward()
        optimizer.step()
        optimizer.zero_grad()

    def penalise() -> None:
        (1e-9 * penalty()).backward()

    return {
        'training step': step,
        'penalty as a loss': penalise,
        'proximal step': lambda: penalty.soft_threshold_(1e-9, optimizer),
        'checks': lambda: check_losses(losses, model),
    }


def main() -> None:
    """Time the parts in turns and print a table of their times."""
    args = parse_args()
    cfg = read_config(args)
    model = build_model(cfg).to(args.device)
    shape = args.shape or search_shape(cfg)
    cost_model = cost_model_of(model, shape)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    parts = parts_of_a_step(
        dense_part(model.train()),
        torch.randn(args.batch, *cost_model.input_shape, device=args.device),
        wrapper.optimizer,
        cost_model,
    )
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(args.rounds + 1):  # the first round warms up
        for name, part in parts.items():
            times[name].append(seconds(part, torch.device(args.device)))
    table = Table(
        title=f'{args.batch} x {cost_model.input_shape} on {args.device}'
    )
    for column in ('', 'ms, median', 'min', 'max', 'of the step'):
        table.add_column(column, justify='right' if column else 'left')
    whole = statistics.median(times['training step'][1:])
    for name, values in times.items():
        values = [1000 * value for value in values[1:]]
        median = statistics.median(values)
        table.add_row(
            name,
            *(f'{x:.2f}' for x in (median, min(values), max(values))),
            f'{median / whole / 10:.3f} %',
        )
    Console().print(table)


if __name__ == '__main__':
    main()
