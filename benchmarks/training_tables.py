"""The tables that training_cost.py prints, and their measurement."""

import argparse
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from training_step import StageStep, TrainingStep, largest_batch

from hrnas_mm.engine.check_runner import check_losses
from hrnas_mm.report.tables import Table
from hrnas_mm.runtimes import interleaved, peak_memory
from hrnas_mm.search import CostModel, ResourcePenalty
from hrnas_mm.search.importance import TaylorImportance

FORMS = ('memory-efficient', 'plain')


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
