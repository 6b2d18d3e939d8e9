"""The milliseconds of a search: its table, and what is measured at the end."""

import os.path as osp
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.runner import Runner
from torch import nn

from ..measure import check_runtimes, share_threads
from ..measure.calibration import adds_up
from ..measure.latency_table import (
    TableBuilder,
    processor,
    threads,
    time_networks,
)
from ..resume.rng import forked_rng
from ..resume.state import bare_model
from ..search import (
    CostModel,
    Latency,
    LatencyTable,
    read_latency_table,
)
from ..search.latency_table import table_of, write_latency_table
from .options import MEASURED

TABLE = 'latency.json'


def given_latency(
    option: str | Mapping[str, Any] | None, cost_model: CostModel
) -> Latency | None:
    """Return the cost of the table that a config names, if it names one.

    Raises:
        ValueError: If the file is no table, or one of another supernet.
    """
    if not isinstance(option, str):
        return None
    if not osp.isfile(option):
        raise ValueError(
            f'latency must be a table of tools/measure_latency.py, and '
            f'{option} does not exist'
        )
    return _checked(read_latency_table(option), cost_model, option)


def _checked(
    table: LatencyTable, cost_model: CostModel, where: str
) -> Latency:
    latency = Latency(table)
    try:
        latency.check(cost_model)
    except ValueError as error:
        raise ValueError(f'latency={where} {error}') from error
    return latency


def latency_of(
    option: str | Mapping[str, Any] | None,
    runner: Runner,
    cost_model: CostModel,
) -> Latency | None:
    """Return the cost in milliseconds of a search, if it has one.

    What a mapping describes is measured now, unless the work_dir has such a
    table already. Ranks share what the first of them has measured.
    """
    if not isinstance(option, Mapping):
        return given_latency(option, cost_model)
    content: list[Any] = [None]
    if is_main_process():
        content[0] = _kept_or_measured(option, runner, cost_model)
    broadcast_object_list(content)
    return _checked(table_of(content[0]), cost_model, str(dict(option)))


def _kept_or_measured(
    option: Mapping[str, Any], runner: Runner, cost_model: CostModel
) -> dict[str, Any]:
    path = osp.join(runner.work_dir, TABLE)
    wanted = {**MEASURED, **option}
    if osp.isfile(path):
        table = read_latency_table(path)
        known = vars(table.conditions)
        if all(known[k] == v for k, v in wanted.items() if v != 'auto'):
            _checked(table, cost_model, path)
            runner.logger.info(f'Search: {path} is used, {table.conditions}')
            return table.as_json()
    table = _measured(wanted, runner, cost_model)
    write_latency_table(table, path)
    return table.as_json()


def _measured(
    wanted: Mapping[str, Any], runner: Runner, cost_model: CostModel
) -> LatencyTable:
    backend = wanted['backend']
    check_runtimes([backend])
    with forked_rng(0), threads(wanted['threads']):
        if backend == 'onnxruntime':
            share_threads()
        builder = TableBuilder(
            deepcopy(bare_model(runner)).cpu().eval(),
            cost_model,
            backend,
            wanted['batch'],
            wanted['round'],
        )
        runner.logger.info(
            f'Search: measuring milliseconds, {builder.conditions()}'
        )
        table = builder.build()
    line = table.calibration
    runner.logger.info(
        'Search: milliseconds are predicted with a median error of '
        f'{line.median_error:.1%}, at worst {line.worst_error:.1%}'
    )
    if not adds_up(line):
        runner.logger.warning(
            'Search: the parts do not add up on this device; the network will '
            'end near the target in milliseconds, but not at it'
        )
    return table


def why_not_measured(latency: Latency) -> str | None:
    """Return why this machine cannot time what the table is for, or None."""
    conditions = latency.table.conditions
    if conditions.device != processor():
        return f'this is {processor()}, the table is of {conditions.device}'
    try:
        check_runtimes([conditions.backend])
    except ModuleNotFoundError as error:
        return str(error)
    return None


def measured_ms(models: Iterable[nn.Module], latency: Latency) -> list[float]:
    """Return the milliseconds of networks, measured as the table was."""
    conditions = latency.table.conditions
    copies = (deepcopy(model).cpu() for model in models)
    with forked_rng(0), threads(conditions.threads):
        if conditions.backend == 'onnxruntime':
            share_threads()
        return time_networks(copies, conditions)
