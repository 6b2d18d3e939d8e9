"""The results of a search as tables of text, drawn from its record."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table as RichTable

from ..search.budget import LATENCY
from ..search.cost import MACS
from .amounts import amount_of, noun_of
from .record import MAX_CLASSES, Evaluation, Record, Timing, last_network

MAX_METRICS = 10  # per table
PREDICTED, MEASURED = 'ms as deployed, predicted', 'ms as deployed, measured'
UNKNOWN = '-'


class Table(NamedTuple):
    """A table of text.

    Attributes:
        title: Title above the table.
        columns: Names of the columns; the first column names the rows.
        rows: Rows with one cell per column.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

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

    def markdown(self) -> str:
        """Return the table in Markdown, without its title."""
        lines = [self.columns, ('---',) * len(self.columns), *self.rows]
        return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def result_tables(record: Record) -> list[Table]:
    """Return the tables that a run logs at its end."""
    tables = (
        costs_table(record),
        evaluations_table(record),
        milestones_table(record),
    )
    return [table for table in tables if table is not None]


def detail_tables(record: Record) -> list[Table]:
    """Return the tables that only the page has."""
    tables = stages_table(record), classes_table(record)
    return [table for table in tables if table is not None]


def costs_table(record: Record) -> Table:
    """Compare the searched network with the supernet that it began as."""
    now = record.history[-1].costs
    rows = [
        (_label(name), amount_of(name, full), amount_of(name, now[name]))
        for name, full in record.costs.items()
    ]
    if record.latency is not None:
        rows.append((MEASURED, UNKNOWN, _measured(record.latency)))
    title = f'At {tuple(record.input_shape)}'
    return Table(title, ('', 'supernet', last_network(record).name), rows)


def evaluations_table(record: Record) -> Table | None:
    """Compare the first and the last evaluation, if the last is of the end.

    Each is named by its iteration and by what the network cost then: by the
    first evaluation it may have shrunk already.
    """
    found = record.evaluations
    if not found or found[-1].iter != record.iter:
        return None
    shown = [found[0], found[-1]] if len(found) > 1 else found
    rows = [
        (name, *(_number(each.metrics.get(name)) for each in shown))
        for name in _summary(found[-1].metrics)
    ]
    title = 'First and last evaluation' if len(found) > 1 else 'Evaluation'
    return Table(title, ('', *(_at(record, each) for each in shown)), rows)


def milestones_table(record: Record) -> Table | None:
    """Return a row for each milestone, and one for the final network."""
    if not record.milestones:
        return None
    timed = record.latency is not None
    metrics = _summary(record.milestones[0].metrics)
    rows = [
        (
            each.name,
            str(each.iter),
            *(_amount(name, each.costs) for name in record.costs),
            *([_measured(each.latency)] if timed else []),
            *(_number(each.metrics.get(name)) for name in metrics),
        )
        for each in (*record.milestones, last_network(record))
    ]
    costs = map(_label, record.costs)
    columns = ('', 'iteration', *costs, *[MEASURED] * timed, *metrics)
    return Table('Milestones', columns, rows)


def stages_table(record: Record) -> Table | None:
    """Return the multiply-adds of every stage before and after the search."""
    rows = [
        (
            stage.name,
            MACS.format(stage.supernet),
            MACS.format(stage.searched),
            f'{stage.searched / stage.supernet:.0%}',
        )
        for stage in record.stages
    ]
    columns = ('', 'supernet', 'searched', 'left')
    return Table('Multiply-adds by stage', columns, rows) if rows else None


def classes_table(record: Record) -> Table | None:
    """Return a row for each class, unless there are too many to read."""
    found = record.classes
    if found is None or len(found.classes) > MAX_CLASSES:
        return None
    rows = [
        (name, *(_percent(values[i]) for values in found.metrics.values()))
        for i, name in enumerate(found.classes)
    ]
    return Table(f'By {found.noun}', ('', *found.metrics), rows)


def _at(record: Record, evaluation: Evaluation) -> str:
    name = f'iteration {evaluation.iter}'
    cost = next(iter(record.costs))
    if cost not in evaluation.costs:  # the target counted another cost then
        return name
    return f'{name}, {_amount(cost, evaluation.costs)} {noun_of(cost)}'


def _label(cost: str) -> str:
    return PREDICTED if cost == LATENCY else noun_of(cost)


def _amount(name: str, costs: Mapping[str, float]) -> str:
    return amount_of(name, costs[name]) if name in costs else UNKNOWN


def _measured(timing: Timing | None) -> str:
    if timing is None or timing.measured is None:
        return UNKNOWN
    return amount_of(LATENCY, timing.measured)


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f'{value:.4g}'


def _percent(value: float | None) -> str:
    return UNKNOWN if value is None else f'{value:.1f}'


def _summary(metrics: Iterable[str]) -> Sequence[str]:
    """Return the last metrics: KITTI's 108 end in a summary."""
    return list(metrics)[-MAX_METRICS:]
