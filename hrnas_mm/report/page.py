"""The report of a run: what was searched, how, and with which results."""

import io
import os.path as osp
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..files import replacing
from ..search.budget import LATENCY
from ..spelling import counted
from .amounts import amount_of, noun_of
from .confusion import confusions_table, plot_confusion
from .curves import main_metric, run_panels, search_panels, short_name
from .pictures import BATCH, PREDICTIONS, pictures_in
from .pies import (
    block_text,
    draw_architectures,
    network_at,
    network_of,
)
from .record import Milestone, Record, RunInfo, last_network, read_record
from .tables import detail_tables, result_tables
from .time_left import time_left

RELOAD = 20  # seconds, while the run goes on
_METADATA = ('Creator', 'Date', 'Format', 'Type')  # left out of an SVG
TEMPLATE = Path(__file__).with_name('page.html.j2')


class Number(NamedTuple):
    """A number, with its label, at the top of the page."""

    value: str
    label: str


def write_report(page: str, work_dir: str) -> None:
    """Write a self-contained HTML page about a search, over or not.

    While the run goes on, browsers load the page again and again.

    Args:
        page: HTML file to write.
        work_dir: Folder of the run, with its record and ``searched``.

    Raises:
        ValueError: If the work_dir has no search.
    """
    record = read_record(work_dir)
    name = osp.basename(osp.abspath(work_dir))
    network = network_at(record, -1, name)
    # While the run goes on, a page has to be drawn fast.
    milestones = record.milestones if record.finished else []
    networks = [
        *(
            network_of(record, milestone, f'milestone {milestone.name}')
            for milestone in milestones
        ),
        network,
    ]
    blocks = {
        f'block:{block}': block_text(network, block) for block in network.parts
    }
    # Text in the page is escaped: it must not end the script that it is in.
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters.update(breakable=_breakable, repr=repr)
    folder = osp.join(_short_path(work_dir), 'searched')
    html = environment.from_string(TEMPLATE.read_text()).render(
        name=name,
        record=record,
        reload=RELOAD,
        left=None if record.finished else time_left(record),
        goal=_goal(record),
        shape=' × '.join(map(str, record.input_shape)),
        numbers=_numbers(record),
        curves=[
            _svg(_alone(plot))
            for plot in (*search_panels(record), *run_panels(record))
        ],
        architecture=_svg(draw_architectures([network])),
        milestones=_svg(draw_architectures(networks)) if networks[1:] else '',
        batch=pictures_in(osp.join(work_dir, BATCH)),
        predictions=pictures_in(osp.join(work_dir, PREDICTIONS)),
        confusion=_svg(plot_confusion(record.confusion))
        if record.confusion
        else '',
        confused=confusions_table(record),
        legend=_legend(record),
        blocks=blocks,
        tables=[*result_tables(record), *detail_tables(record)],
        facts={} if record.run is None else facts_of(record.run),
        folder=folder,
        quoted=shlex.quote(folder),
        config=_config(work_dir),
    )
    with replacing(page) as new:
        Path(new).write_text(html, encoding='utf-8', errors='replace')


def _breakable(name: str) -> Markup:
    """Make a long name break after punctuation, not inside its words."""
    parts = re.split(r'(?<=[_\-/.])', name)
    return Markup('<wbr>').join(parts)


def _goal(record: Record) -> str:
    target = record.target
    if target is None:
        return 'with a fixed penalty'
    amount = amount_of(target.cost, target.amount)
    return f'to {amount} {noun_of(target.cost)}'


def _numbers(record: Record) -> list[Number]:
    last = last_network(record)
    numbers = [
        Number(
            amount_of(name, amount),
            f'{noun_of(name)}, {amount / record.costs[name]:.1%} of the '
            'supernet',
        )
        for name, amount in last.costs.items()
        if name != LATENCY
    ]
    if LATENCY in last.costs:
        numbers.insert(0, _milliseconds(last))
    metric = main_metric([record])
    for evaluation in record.evaluations[-1:]:
        if metric in evaluation.metrics:
            value = f'{evaluation.metrics[metric]:.4g}'
            label = f'{short_name(metric)} at iteration {evaluation.iter}'
            numbers.append(Number(value, label))
    shrinks, noun = counted(len(record.history) - 1, 'shrink').split()
    numbers.append(Number(shrinks, noun))
    return numbers


def _milliseconds(network: Milestone) -> Number:
    """Return the ones that count: as measured, or else as predicted."""
    timing = network.latency
    if timing is not None and timing.measured is not None:
        found, how = timing.measured, 'measured'
    else:
        found, how = network.costs[LATENCY], 'predicted'
    return Number(f'{amount_of(LATENCY, found)} ms', f'as deployed, {how}')


def facts_of(run: RunInfo) -> dict[str, str]:
    """Return what is known of a run as text, by its name."""
    machine = (
        f'{run.processes} x {run.device}'
        if run.processes > 1 or not run.device.endswith('CPU')
        else f'{run.device}, {counted(run.threads, "thread")}'
    )
    software = (f'{name} {version}' for name, version in run.versions.items())
    found = {
        'date': run.date,
        'training': duration(run.seconds),
        'machine': machine,
        'software': ', '.join(software),
        'commit': run.commit,
        'seed': '' if run.seed is None else str(run.seed),
        'command': run.command,
    }
    return {name: text for name, text in found.items() if text}


def duration(seconds: float) -> str:
    """Format 5400 seconds as '1.5 h'."""
    if seconds > 3600:
        return f'{seconds / 3600:.1f} h'
    return f'{seconds / 60:.1f} min' if seconds > 60 else f'{seconds:.0f} s'


def _legend(record: Record) -> dict[str, str]:
    """Return the colours of the classes that pictures can have."""
    shown = set(record.palette)
    if record.confusion is not None:
        shown = {
            name
            for i, name in enumerate(record.confusion.classes)
            if any(record.confusion.counts[i])
            or any(row[i] for row in record.confusion.counts)
        }
    return {
        name: f'rgb({", ".join(map(str, colour))})'
        for name, colour in record.palette.items()
        if name in shown
    }


def _short_path(path: str) -> str:
    """Return a path relative to the current folder, if it is inside that."""
    relative = osp.relpath(path)
    return path if relative.startswith('..') else relative


def _config(work_dir: str) -> str:
    path = Path(work_dir, 'searched', 'config.py')
    return path.read_text() if path.exists() else ''


def _alone(plot: Callable[[Axes], None]) -> Figure:
    figure = Figure(figsize=(4.6, 2.7), layout='constrained')
    plot(figure.subplots())
    return figure


def _svg(figure: Figure) -> str:
    """Return a figure as an SVG element whose width the page determines."""
    settings: Any = {'svg.fonttype': 'none', 'svg.hashsalt': 'hrnas_mm'}
    file = io.StringIO()
    with matplotlib.rc_context(settings):
        figure.savefig(
            file,
            format='svg',
            metadata=dict.fromkeys(_METADATA),
            transparent=True,
        )
    svg = file.getvalue()
    svg = svg[svg.index('<svg') :]
    return re.sub(r'(<svg[^>]*?) width="[^"]*"', r'\1', svg, count=1).replace(
        ' height=', ' data-height=', 1
    )
