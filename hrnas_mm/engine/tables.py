"""What a search ends with, in rows of text: for the log and the report."""

from collections.abc import Mapping
from typing import NamedTuple

from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table as RichTable
from torch import nn

from ..config import build_model
from ..search import CostModel, architecture_of, count_params
from .dense import dense_part
from .latency import latency
from .report import EVALUATIONS, RUNGS, numbers
from .surgery import deployed_model

MOST_METRICS = 10  # in a table


class Table(NamedTuple):
    """A table of text.

    Attributes:
        title: Above it.
        columns: Their names; the first is that of the rows' names.
        rows: One cell per column each.
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
        console = Console(width=100, no_color=True)
        with console.capture() as capture:
            console.print(table)
        return capture.get()


def comparison(runner: Runner, cost_model: CostModel) -> Table:
    """Compare the searched network with the supernet it began as."""
    model = deployed_model(runner)
    supernet = _build_supernet(runner)
    full = cost_model.total(cost_model.supernet)
    now = cost_model.total(architecture_of(model))
    models = [m for m in (supernet, model) if m is not None]
    params = [f'{count_params(m) / 1e6:.3f} M' for m in models]
    dense = [dense_part(m) for m in models]
    times = [f'{t:.1f}' for t in latency(dense, cost_model.input_shape)]
    absent = ['-'] * (2 - len(models))
    rows = [
        ('multiply-adds', f'{full / 1e9:.4f} G', f'{now / 1e9:.4f} G'),
        ('parameters', *absent, *params),
        ('ms per image', *absent, *times),
        *_metric_rows(runner, full),
    ]
    title = f'At {tuple(cost_model.input_shape)}'
    return Table(title, ('', 'supernet', 'searched'), rows)


def _build_supernet(runner: Runner) -> nn.Module | None:
    if not isinstance(runner.cfg.get('model'), dict):
        return None
    device = next(runner.model.parameters()).device
    return build_model(runner.cfg).to(device)


def _metric_rows(runner: Runner, full: int) -> list[tuple[str, ...]]:
    """Name, first and last value of each metric.

    The first is the supernet's own if it was evaluated before it shrank;
    otherwise it tells when it was taken.
    """
    evaluations = runner.message_hub.runtime_info.get(EVALUATIONS, [])
    if not evaluations or evaluations[-1]['iter'] != runner.iter:
        return []
    first, last = evaluations[0], evaluations[-1]
    when = '' if first['macs'] == full else f' (iteration {first["iter"]})'
    before = numbers(first['metrics'])
    return [
        (
            name,
            f'{before[name]:.4g}{when}' if name in before else '-',
            f'{value:.4g}',
        )
        for name, value in _summary(last['metrics']).items()
    ]


def ladder(runner: Runner, last: Mapping) -> Table | None:
    """One row for each milestone, and one for the network at the end.

    Args:
        last: What the milestones say of themselves, of that network.
    """
    rungs = runner.message_hub.runtime_info.get(RUNGS, [])
    if not rungs:
        return None
    metrics = list(_summary(rungs[0]['metrics']))
    rows = []
    for rung in [*rungs, last]:
        values = [numbers(rung['metrics']).get(name) for name in metrics]
        rows.append(
            (
                rung['name'],
                str(rung['iter']),
                f'{rung["macs"] / 1e9:.4f} G',
                f'{rung["params"] / 1e6:.3f} M',
                *('-' if v is None else f'{v:.4g}' for v in values),
            )
        )
    columns = ('', 'iteration', 'multiply-adds', 'parameters', *metrics)
    return Table('Milestones', columns, rows)


def _summary(metrics: Mapping) -> dict[str, float]:
    """The numbers among metrics; of KITTI's 108 the last, which sum up."""
    return dict(list(numbers(metrics).items())[-MOST_METRICS:])
