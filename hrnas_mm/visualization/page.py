"""One page for a run: what was searched, how, and what came out."""

import io
import os.path as osp
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from jinja2 import Environment, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..files import replacing
from ..search.cost import amount_of, noun_of
from ..search.record import read_record
from .architecture import block_text, draw_architectures, network_at
from .curves import main_metric, search_panels, short_name

_METADATA = ('Creator', 'Date', 'Format', 'Type')  # of an SVG, left out
TEMPLATE = Path(__file__).with_name('page.html.j2')


class Number(NamedTuple):
    """One of the figures at the top of the page."""

    value: str
    label: str


def write_report(page: str, work_dir: str) -> None:
    """Write a self-contained HTML page about a search.

    Args:
        page: The file.
        work_dir: Of the run; has its record and ``searched``.

    Raises:
        ValueError: If the work_dir has no search.
    """
    record = read_record(work_dir)
    name = osp.basename(osp.abspath(work_dir))
    network = network_at(record, -1, name)
    blocks = {
        f'block:{block}': block_text(network, block) for block in network.parts
    }
    # What stands in a page may not end the script that it stands in.
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    html = environment.from_string(TEMPLATE.read_text()).render(
        name=name,
        record=record,
        goal=_goal(record),
        shape=' × '.join(map(str, record['input_shape'])),
        numbers=_numbers(record),
        curves=[_svg(_alone(plot)) for plot in search_panels(record)],
        architecture=_svg(draw_architectures([network])),
        blocks=blocks,
        tables=record.get('tables', []),
        folder=osp.join(work_dir, 'searched'),
        config=_config(work_dir),
    )
    with replacing(page) as new:
        Path(new).write_text(html, encoding='utf-8', errors='replace')


def _goal(record: Mapping[str, Any]) -> str:
    target = record['target']
    if target is None:
        return 'with a fixed penalty'
    cost = target['cost']
    return f'to {amount_of(cost, target["amount"])} {noun_of(cost)}'


def _numbers(record: Mapping[str, Any]) -> list[Number]:
    last = record['history'][-1]
    numbers = [
        Number(
            amount_of(name, amount),
            f'{noun_of(name)}, {amount / record["costs"][name]:.1%} of the '
            'supernet',
        )
        for name, amount in last['costs'].items()
    ]
    metric = main_metric([record])
    for evaluation in record['evaluations'][-1:]:
        if metric in evaluation['metrics']:
            value = f'{evaluation["metrics"][metric]:.4g}'
            label = f'{short_name(metric)} at iteration {evaluation["iter"]}'
            numbers.append(Number(value, label))
    shrinks = len(record['history']) - 1
    numbers.append(Number(str(shrinks), 'shrinks'))
    return numbers


def _config(work_dir: str) -> str:
    path = Path(work_dir, 'searched', 'config.py')
    return path.read_text() if path.exists() else ''


def _alone(plot: Callable[[Axes], None]) -> Figure:
    figure = Figure(figsize=(4.6, 2.7), layout='constrained')
    plot(figure.subplots())
    return figure


def _svg(figure: Figure) -> str:
    """The figure as an element of a page, scaled by its width."""
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
