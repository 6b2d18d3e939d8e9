"""The records of a running search: log lines, curves, ``search.json``."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mmengine.dist import master_only
from mmengine.runner import Runner

from ..nested import plain
from ..resume.files import failing_clearly
from ..resume.state import bare_model
from ..search import architecture_of
from ..search.description import describe_supernet
from ..search.record import by_kind, write_record
from ..visualization.style import label_of
from .search import Facts, Search


def announce(runner: Runner, search: Search) -> None:
    """Log the plan of the search."""
    schedule = search.schedule
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


def note_shrink(
    runner: Runner, search: Search, before: Mapping[str, int]
) -> None:
    """Log, plot and record the network's size, and what was removed.

    Args:
        runner: The runner, whose model has just been shrunk or is the one
            that the search starts from.
        search: The search of the run.
        before: The architecture before the shrink.
    """
    supernet = describe_supernet(search.cost_model)
    architecture = architecture_of(bare_model(runner))
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
        dict(
            iter=runner.iter,
            costs=costs,
            rho=rho,
            counts=_counts(search, architecture),
        )
    )
    write_search_record(runner, search)
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


def note_evaluation(
    runner: Runner, search: Search, metrics: Mapping[str, Any]
) -> None:
    """Record the metrics together with what the network costs."""
    search.history.evaluations.append(_measured(runner, search, metrics))
    write_search_record(runner, search)


def note_rung(
    runner: Runner,
    search: Search,
    name: str,
    metrics: Mapping[str, Any],
    latency: Facts | None,
) -> None:
    """Record the metrics, costs and architecture at a milestone.

    Args:
        runner: The runner.
        search: The search of the run.
        name: Name of the milestone.
        metrics: Metrics of the network.
        latency: Its milliseconds, predicted and measured, if they are known.
    """
    facts = _measured(runner, search, metrics)
    if latency is not None:
        facts['latency'] = latency
    counts = _counts(search, architecture_of(bare_model(runner)))
    search.history.rungs.append(dict(name=name, **facts, counts=counts))


def _counts(search: Search, architecture: Mapping[str, int]) -> list[int]:
    """Return the elements of every unit, in the order of the supernet."""
    return [architecture[unit] for unit in search.cost_model.supernet]


def _measured(
    runner: Runner, search: Search, metrics: Mapping[str, Any]
) -> Facts:
    return dict(
        iter=runner.iter,
        costs=search.totals(architecture_of(bare_model(runner))),
        metrics=plain(dict(metrics)),
    )


@master_only
def write_search_record(runner: Runner, search: Search, **more: Any) -> None:
    """Write ``work_dir/search.json``, from which all figures are drawn.

    Args:
        runner: The runner of the search.
        search: The search of the run.
        more: Further entries, which are known at the end of the run.
    """
    cost_model, budget = search.cost_model, search.budget
    content = dict(
        supernet=describe_supernet(cost_model),
        input_shape=cost_model.input_shape,
        costs=search.totals(cost_model.supernet),
        target=budget and dict(cost=budget.cost.name, amount=budget.amount),
        begin=search.schedule.begin,
        end=search.schedule.end,
        max_iters=runner.max_iters,
        history=search.history.shrinks,
        evaluations=_with_numbers(search.history.evaluations),
        rungs=_with_numbers(search.history.rungs),
        **more,
    )
    with failing_clearly(runner.work_dir, runner):
        write_record(runner.work_dir, content)


def _with_numbers(entries: list[Facts]) -> list[Facts]:
    return [
        dict(entry, metrics=numbers(entry['metrics'])) for entry in entries
    ]


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics that are numbers; some are tensors or strings."""
    return {
        name: value
        for name, value in metrics.items()
        if isinstance(value, (int, float))
    }
