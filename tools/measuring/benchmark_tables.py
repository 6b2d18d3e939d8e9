"""The tables that benchmark.py prints."""

import argparse
import statistics
from collections.abc import Mapping
from itertools import islice, zip_longest
from typing import NamedTuple

import torch
from rich.table import Table

from hrnas_mm.cli.candidate import Candidate
from hrnas_mm.search import count_params
from hrnas_mm.spelling import counted

SHARES_SHOWN = 12  # rows of the table of shares


class Result(NamedTuple):
    """Measurements of one candidate on one backend.

    Attributes:
        candidate: The model.
        backend: Name of the backend, with the form if there are several.
        times: Seconds per batch, one for each turn.
        peak: Peak memory in bytes; None if it was not measured.
    """

    candidate: Candidate
    backend: str
    times: list[float]
    peak: int | None


def table_of(args: argparse.Namespace, results: list[Result]) -> Table:
    """Return a table with a row for each candidate on each backend."""
    table = Table(
        title=f'Batches of {args.batch} on {args.device}, {args.dtype}, '
        f'{counted(torch.get_num_threads(), "thread")}, '
        f'{counted(args.rounds, "turn")}',
        caption='eager: as trained; the others: deployed. Parameters: of the '
        'whole model. Peak: what a forward pass allocates beside the weights. '
        'onnxruntime and openvino: on the CPU.',
    )
    table.add_column('model', overflow='fold')
    for column in (
        '', 'input', 'multiply-adds', 'parameters', 'ms, median', '10-90 %',
        'images/s', 'peak MB',
    ):  # fmt: skip
        text = column in ('', 'input')
        table.add_column(column, justify='left' if text else 'right')
    for (name, model, shape, macs), backend, times, peak in results:
        taken = [1000 * t for t in times]
        median = statistics.median(taken)
        low, *_, high = statistics.quantiles(taken, n=10, method='inclusive')
        table.add_row(
            name,
            backend,
            'x'.join(map(str, shape)),
            '-' if macs is None else f'{macs / 1e9:.4f} G',
            f'{count_params(model) / 1e6:.3f} M',
            f'{median:.2f}',
            f'{low:.2f}-{high:.2f}',
            f'{1000 * args.batch / median:.2f}',
            '-' if peak is None else f'{peak / 1e6:.1f}',
        )
    return table


def shares_table(
    title: str,
    by_stage: Mapping[str, float],
    by_operator: Mapping[str, float],
) -> Table:
    """Return a table of the shares of the time of stages and operators."""
    left, right = (
        [
            (name, f'{100 * share:.1f}')
            for name, share in islice(shares.items(), SHARES_SHOWN)
        ]
        for shares in (by_stage, by_operator)
    )
    table = Table(title=title)
    for column in ('stage', '%', 'operator', '%'):
        table.add_column(column, justify='right' if column == '%' else 'left')
    for stage, operator in zip_longest(left, right, fillvalue=('', '')):
        table.add_row(*stage, *operator)
    return table
