"""The history of a running search: log lines, curves, ``search.json``."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mmengine.dist import master_only
from mmengine.runner import Runner

from ..report.record import (
    SCHEMA,
    Evaluation,
    Milestone,
    Record,
    Shrink,
    Target,
    Timing,
    by_kind,
    write_record,
)
from ..report.style import label_of
from ..resume.files import failing_clearly
from ..search.budget import Budget
from ..search.description import described_supernet, selections_in
from .pictures import palette_of
from .run_info import run_info, training_curves
from .search import Search
from .state import numbers

# Share of a budget from which on what stays is warned of.
TIGHT = 0.8


def announce(search: Search) -> None:
    """Log the plan of the search."""
    schedule, runner = search.schedule, search.runner
    goal = (
        f'down to {search.budget}'
        if search.budget
        else f'with rho {search.controller.rho:g}'
    )
    runner.logger.info(
        f'Search: {goal} at {search.cost_model.input_shape}, a shrink every '
        f'{schedule.interval} iterations from {schedule.begin} to '
        f'{schedule.end} of {runner.max_iters}; until then loss_resource, rho '
        'times the resource penalty of Eq. (7), is part of the loss'
    )
    for text in selections_in(search.model):
        runner.logger.info(f'Search: {text}')
    if search.budget:
        _warn_if_tight(search.budget, runner)
    on_gpu = next(search.model.parameters()).device.type == 'cuda'
    if on_gpu and any(
        getattr(module, 'memory_efficient', True) is None
        for module in search.model.modules()
    ):
        runner.logger.info(
            'Search: on a GPU all maps are kept for the backward pass, which '
            'is faster. If memory runs out, set memory_efficient=True in '
            'the config of the backbone, and of the neck if it has one'
        )


def _warn_if_tight(budget: Budget, runner: Runner) -> None:
    """Warn if what no search can remove takes nearly all of the budget."""
    cost = budget.cost
    least = cost.cut.least(budget.cost_model)
    if least > TIGHT * budget.amount:
        runner.logger.warning(
            f'Search: what cannot be removed takes {cost.format(least)} of '
            f'{cost.format(budget.amount)} {cost.noun}, so that little will '
            'be left of each layer. A narrower head or last map, or a smaller '
            'network, leaves the search more to choose from'
        )


def note_shrink(search: Search, before: Mapping[str, int]) -> None:
    """Log, plot and record the network's size, and what was removed.

    Args:
        search: The search of a run, whose model has just been shrunk or is
            the one that the search starts from.
        before: The architecture before the shrink.
    """
    runner = search.runner
    supernet = described_supernet(search.cost_model)
    architecture = search.architecture
    kinds = by_kind(supernet, architecture)
    costs, rho = search.totals(architecture), search.controller.rho
    runner.visualizer.add_scalars(
        {
            f'search/{key}': value
            for key, value in {**costs, 'rho': rho, **kinds}.items()
        },
        step=runner.iter,
    )
    search.history.shrinks.append(
        Shrink(runner.iter, costs, rho, _counts(search, architecture))
    )
    write_search_record(search)
    removed = Counter(by_kind(supernet, before)) - Counter(kinds)
    counts = ', '.join(
        f'{label_of(kind)} {count}'
        + (f' (-{removed[kind]})' if removed[kind] else '')
        for kind, count in kinds.items()
    )
    runner.logger.info(
        f'Search: {_costs_in_words(search, costs)}; {counts}; removed '
        f'{sum(removed.values())}; rho {rho:.3g}'
    )


def _costs_in_words(search: Search, costs: Mapping[str, float]) -> str:
    """Return the costs as text; the first one also as a share."""
    words = [
        f'{cost.format(costs[cost.name])} {cost.noun}' for cost in search.costs
    ]
    name = search.costs[0].name
    share = costs[name] / search.totals(search.cost_model.supernet)[name]
    words[0] += f' ({share:.1%} of the supernet)'
    return ', '.join(words)


def note_evaluation(search: Search, metrics: Mapping[str, Any]) -> None:
    """Record the metrics together with what the network costs."""
    costs = search.totals(search.architecture)
    search.history.evaluations.append(
        Evaluation(search.runner.iter, costs, numbers(metrics))
    )
    write_search_record(search)


def note_milestone(
    search: Search,
    name: str,
    metrics: Mapping[str, Any],
    latency: Timing | None,
) -> None:
    """Record the metrics, costs and architecture at a milestone.

    Args:
        search: The search of the run.
        name: Name of the milestone.
        metrics: Metrics of the network.
        latency: Its milliseconds, if there is a table of them.
    """
    architecture = search.architecture
    search.history.milestones.append(
        Milestone(
            name,
            search.runner.iter,
            search.totals(architecture),
            numbers(metrics),
            _counts(search, architecture),
            latency,
        )
    )


def _counts(search: Search, architecture: Mapping[str, int]) -> list[int]:
    """Return the elements of every unit, in the order of the supernet."""
    return [architecture[unit] for unit in search.cost_model.supernet]


@master_only
def write_search_record(search: Search, **more: Any) -> None:
    """Write ``work_dir/search.json``, from which everything is drawn.

    Args:
        search: The search of the run.
        more: Further entries, which are known at the end of the run.
    """
    work_dir = search.runner.work_dir
    with failing_clearly(work_dir, search.runner):
        write_record(work_dir, record_of(search, **more))


def record_of(search: Search, **more: Any) -> Record:
    """Return the record of a search so far."""
    cost_model, budget, runner = (
        search.cost_model,
        search.budget,
        search.runner,
    )
    known = dict(
        curves=training_curves(runner),
        palette=palette_of(runner),
        run=run_info(runner),
        finished=False,
    )
    return Record(
        schema=SCHEMA,
        supernet=described_supernet(cost_model),
        input_shape=list(cost_model.input_shape),
        costs=search.totals(cost_model.supernet),
        target=Target(budget.cost.name, budget.amount) if budget else None,
        begin=search.schedule.begin,
        end=search.schedule.end,
        max_iters=runner.max_iters,
        iter=runner.iter,
        history=search.history.shrinks,
        evaluations=search.history.evaluations,
        milestones=search.history.milestones,
        classes=search.history.classes,
        confusion=search.history.confusion,
        conditions=(
            search.latency.table.conditions if search.latency else None
        ),
        **{**known, **more},
    )
