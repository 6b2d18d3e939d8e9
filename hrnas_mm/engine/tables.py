"""The results of a search as tables of text, for the log and the report."""

from collections.abc import Mapping
from typing import NamedTuple

from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table as RichTable
from torch import nn

from ..building import build_model
from ..deploy.dense import dense_part
from ..measure import latency, stage_names
from ..search import architecture_of
from ..search.cost import MACS, MS
from .journal import numbers
from .search import Facts, Search
from .surgery import deployed_model

MOST_METRICS = 10  # per table
DEPLOYED = 'ms measured as deployed'


class Table(NamedTuple):
    """A table of text.

    Attributes:
        title: Title above the table.
        columns: Names of the columns; the first column names the rows.
        rows: Rows with one cell per column.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def __str__(self) -> str:
        table = RichTable(title=self.title)
        for column in self.columns:
            table.add_column(column, justify='right')
        for row in self.rows:
            table.add_row(*row)
        # Wide enough for any table: no number may be cut off. Names of
        # metrics may have what would be markup or an emoji.
        console = Console(width=1000, no_color=True, markup=False, emoji=False)
        with console.capture() as capture:
            console.print(table)
        return capture.get()


def comparison(runner: Runner, search: Search, timed: Facts | None) -> Table:
    """Compare the searched network with the supernet that it began as.

    Args:
        runner: The runner at the end of its training.
        search: The search of the run.
        timed: Milliseconds of the network as deployed, if they are known.
    """
    model = deployed_model(runner)
    full = search.totals(search.cost_model.supernet)
    now = search.totals(architecture_of(model))
    rows = [
        *(
            (
                cost.noun,
                *(cost.format(each[cost.name]) for each in (full, now)),
            )
            for cost in search.costs
        ),
        ('ms per image', *_times(runner, model, search)),
    ]
    if timed is not None:
        rows.append((DEPLOYED, '-', _measured_ms(timed)))
    title = f'At {tuple(search.cost_model.input_shape)}'
    return Table(title, ('', 'supernet', 'searched'), rows)


def _times(runner: Runner, model: nn.Module, search: Search) -> list[str]:
    """Return ms per image of the supernet ('-' if unknown) and the model."""
    supernet = _build_supernet(runner)
    models = [m for m in (supernet, model) if m is not None]
    times = latency(
        list(map(dense_part, models)), search.cost_model.input_shape
    )
    return ['-'] * (2 - len(models)) + [f'{t:.1f}' for t in times]


def by_stage(runner: Runner, search: Search) -> Table:
    """Return the multiply-adds of every stage before and after the search."""
    model = deployed_model(runner)
    cost_model, now = search.cost_model, architecture_of(model)
    rows: list[tuple[str, ...]] = []
    for name in stage_names(model):
        before, after = (
            cost_model.macs_within(name, each)
            for each in (cost_model.supernet, now)
        )
        if before:
            amounts = map(MACS.format, (before, after))
            rows.append((name, *amounts, f'{after / before:.0%}'))
    return Table(
        'Multiply-adds by stage', ('', 'supernet', 'searched', 'left'), rows
    )


def _build_supernet(runner: Runner) -> nn.Module | None:
    if not isinstance(runner.cfg.get('model'), dict):
        return None
    device = next(runner.model.parameters()).device
    return build_model(runner.cfg).to(device)


def evaluations(runner: Runner, search: Search) -> Table | None:
    """Compare the first and the last evaluation.

    Each is named by its iteration and by what the network cost then: by the
    first evaluation it may have shrunk already.
    """
    found = search.history.evaluations
    if not found or found[-1]['iter'] != runner.iter:
        return None
    shown = [found[0], found[-1]] if len(found) > 1 else found
    metrics = [numbers(each['metrics']) for each in shown]
    rows: list[tuple[str, ...]] = [
        (name, *(f'{m[name]:.4g}' if name in m else '-' for m in metrics))
        for name in _summary(found[-1]['metrics'])
    ]
    title = 'First and last evaluation' if len(found) > 1 else 'Evaluation'
    return Table(title, ('', *(_at(search, each) for each in shown)), rows)


def _at(search: Search, evaluation: Facts) -> str:
    cost = search.costs[0]
    name = f'iteration {evaluation["iter"]}'
    spent = evaluation['costs'].get(cost.name)
    if spent is None:  # the target counted another cost then
        return name
    return f'{name}, {cost.format(spent)} {cost.noun}'


def ladder(
    runner: Runner, search: Search, timed: Facts | None
) -> Table | None:
    """Return a row for each milestone, and one for the final network.

    Args:
        runner, search, timed: See :func:`comparison`.
    """
    if not search.history.rungs:
        return None
    rungs = [*search.history.rungs, _last_rung(runner, search, timed)]
    deployed = (DEPLOYED,) * (timed is not None)
    metrics = list(_summary(rungs[0]['metrics']))
    rows = []
    for rung in rungs:
        values = [numbers(rung['metrics']).get(name) for name in metrics]
        rows.append(
            (
                rung['name'],
                str(rung['iter']),
                *(
                    cost.format(rung['costs'][cost.name])
                    if cost.name in rung['costs']
                    else '-'  # the target counted another cost then
                    for cost in search.costs
                ),
                *(_measured_ms(rung.get('latency')) for _ in deployed),
                *('-' if v is None else f'{v:.4g}' for v in values),
            )
        )
    costs = (cost.noun for cost in search.costs)
    columns = ('', 'iteration', *costs, *deployed, *metrics)
    return Table('Milestones', columns, rows)


def _measured_ms(timed: Facts | None) -> str:
    """Return the measured milliseconds, if they were measured."""
    if timed is None or 'measured' not in timed:
        return '-'
    return MS.format(timed['measured'])


def _last_rung(runner: Runner, search: Search, timed: Facts | None) -> Facts:
    evaluations = search.history.evaluations
    is_last = evaluations and evaluations[-1]['iter'] == runner.iter
    return dict(
        name='searched',
        iter=runner.iter,
        costs=search.totals(architecture_of(deployed_model(runner))),
        metrics=evaluations[-1]['metrics'] if is_last else {},
        latency=timed,
    )


def _summary(metrics: Mapping) -> dict[str, float]:
    """Return the last numbers among metrics: KITTI's 108 end in a summary."""
    return dict(list(numbers(metrics).items())[-MOST_METRICS:])
