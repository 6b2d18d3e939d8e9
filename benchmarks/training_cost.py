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
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, cast

# Otherwise torch's profiler, which measures the memory, announces itself.
os.environ.setdefault('KINETO_LOG_LEVEL', '99')

import torch  # noqa: E402
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn
from training_step import StageStep, TrainingStep, largest_batch

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import (
    add_config_arguments,
    add_shape_argument,
    read_config,
)
from hrnas_mm.cli.errors import clear_errors
from hrnas_mm.compat_torch import keep_freed_memory
from hrnas_mm.deploy import cost_model_of, dense_part
from hrnas_mm.engine.check_runner import check_losses
from hrnas_mm.modules import MixConv
from hrnas_mm.report.tables import Table
from hrnas_mm.runtimes import interleaved, peak_memory
from hrnas_mm.search import CostModel, ResourcePenalty
from hrnas_mm.search.importance import TaylorImportance
from hrnas_mm.search_in_config import search_shape

FORMS = ('memory-efficient', 'plain')


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


def random_images(
    batch: int, shape: Sequence[int], args: argparse.Namespace
) -> Tensor:
    """Return images on the device, in the memory format asked for."""
    images = torch.randn(batch, *shape, device=args.device)
    if args.channels_last:
        return images.contiguous(memory_format=torch.channels_last)
    return images


def measured(
    steps: Mapping[str, TrainingStep | StageStep],
    parts: Sequence[str],
    args: argparse.Namespace,
) -> dict[str, dict[str, float]]:
    """Time the parts of steps in turns: {step: {part: median ms}}.

    'together' is the median of the sums of the parts.
    """
    calls = {
        (name, part): getattr(step, part)
        for name, step in steps.items()
        for part in parts
    }
    times = interleaved(calls, args.device, args.rounds)
    return {
        name: {
            **{part: milliseconds(times[name, part]) for part in parts},
            'together': milliseconds(
                map(sum, zip(*(times[name, part] for part in parts)))
            ),
        }
        for name in steps
    }


def milliseconds(times: Iterable[float]) -> float:
    """Return the median of some seconds, in milliseconds."""
    return 1000 * statistics.median(times)


def table_of_steps(
    steps: Mapping[str, TrainingStep], args: argparse.Namespace
) -> tuple[Table, float]:
    """Return the table of whole steps, and the ms of the first form."""
    found = measured(steps, ('forward', 'backward', 'optimize'), args)
    for form, step in steps.items():
        found[form]['peak memory, MB'] = peak_memory(step, args.device) / 1e6
    rows: list[tuple[str, ...]] = []
    first = found[FORMS[0]]
    for name in first:
        ours, plain = (found[form][name] for form in FORMS)
        ratio = f'{ours / plain:.2f}'
        rows.append((name, f'{ours:.1f}', f'{plain:.1f}', ratio))
    columns = ('ms, median', *FORMS, 'ratio')
    return Table('Training step', columns, rows), first['together']


def table_of_stages(
    steps: Mapping[str, TrainingStep], args: argparse.Namespace
) -> Table:
    """Return the table of times and kept memory of each stage alone."""
    columns = (
        f'{form}: {what}' for form in FORMS for what in ('ms', 'kept MB')
    )
    rows: list[tuple[str, ...]] = []
    stages = {form: step.stages() for form, step in steps.items()}
    for name in stages[FORMS[0]]:
        alone = {form: stages[form][name] for form in FORMS}
        times = measured(alone, ('forward', 'backward'), args)
        cells = []
        for form, stage in alone.items():
            cells.append(f'{times[form]["together"]:.1f}')
            cells.append(f'{stage.kept_bytes() / 1e6:.1f}')
        rows.append((name, *cells))
    return Table('Stages', ('', *columns), rows)


def table_of_the_search(
    model: nn.Module,
    cost_model: CostModel,
    whole: float,
    args: argparse.Namespace,
) -> Table:
    """Return the table of all that the hook adds to a step."""
    penalty = ResourcePenalty(cost_model, model)
    taylor = TaylorImportance(penalty)
    losses = dict(loss=torch.ones((), device=args.device))
    calls: dict[str, Callable[[], object]] = {
        'penalty': lambda: (1e-9 * penalty()).backward(),
        'Taylor importance': lambda: taylor.add_(1e-9),
        'checks': lambda: check_losses(losses, model),
    }
    rows: list[tuple[str, ...]] = []
    for name, times in interleaved(calls, args.device, args.rounds).items():
        ms = milliseconds(times)
        rows.append((name, f'{ms:.2f}', f'{100 * ms / whole:.2f} %'))
    columns = ('', 'ms, median', 'of the step')
    return Table('Added by the search', columns, rows)


def fits(
    step: TrainingStep,
    shape: Sequence[int],
    args: argparse.Namespace,
    batch: int,
) -> bool:
    """Return whether a step of a batch of random images fits into memory."""
    return step.fits(random_images(batch, shape, args))


def table_of_batches(
    steps: Mapping[str, TrainingStep],
    shape: Sequence[int],
    args: argparse.Namespace,
) -> Table:
    """Return the table of the largest batches, and of their speed.

    Raises:
        SystemExit: If not even one image fits.
    """
    rows: list[tuple[str, ...]] = []
    for form, step in steps.items():
        batch = largest_batch(partial(fits, step, shape, args))
        if not batch:
            raise SystemExit('not even a batch of one image fits into memory')
        step.images = random_images(batch, shape, args)
        (times,) = interleaved({0: step}, args.device, args.rounds).values()
        peak = peak_memory(step, args.device) / 1e6
        speed = batch / statistics.median(times)
        rows.append((form, str(batch), f'{speed:.1f}', f'{peak:.0f}'))
    columns = ('', 'images', 'images per second', 'peak memory, MB')
    return Table('Largest batch', columns, rows)


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
