"""The table of milliseconds of a search, and the times of its networks."""

import os.path as osp
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from datetime import timedelta
from typing import Any, NamedTuple

from mmengine.dist import (
    broadcast_object_list,
    is_distributed,
    is_main_process,
)
from mmengine.runner import Runner
from torch import nn
from torch.distributed import new_group

from ..latency import Latency, LatencyTable, read_latency_table
from ..latency.builder import TableBuilder
from ..latency.calibration import adds_up, worst
from ..latency.networks import (
    ready_networks,
    threads,
    time_networks,
)
from ..latency.table import table_of, write_latency_table
from ..resume.files import checkpoint_to_resume
from ..resume.rng import forked_rng
from ..runners import bare_model
from ..runtimes import RUNTIMES, LocalTimer, check_packages
from ..runtimes.devices import device_named, processor
from ..search import Budget, CostModel, parse_budget
from ..search.budget import Target, in_milliseconds
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


def parse_target(
    target: Target,
    cost_model: CostModel,
    name: str = 'target',
    latency: Latency | None = None,
) -> Budget:
    """Parse a budget; see :func:`~hrnas_mm.search.parse_budget`.

    Raises:
        ValueError: If it is not one of this supernet, or is in milliseconds
            without a table; the message says how to measure one.
    """
    if latency is None and in_milliseconds(target):
        raise ValueError(
            f'{name} in milliseconds needs a table of them, from '
            "tools/measure_latency.py: latency='table.json', or --latency "
            f'table.json; got {target!r} without one'
        )
    return parse_budget(target, cost_model, name, latency)


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

    A resumed search keeps its table. Else what a mapping describes is
    measured now, unless the work_dir has a table already: of this supernet, of
    the same options, device and version. Ranks share what the first of them
    has measured.
    """
    if option is None:
        return None
    resumed = _resumed_table(option, runner)
    if resumed is not None:
        return _checked(resumed, cost_model, str(option))
    if not isinstance(option, Mapping):
        return given_latency(option, cost_model)
    content: list[Any] = [None]
    if is_main_process():
        content[0] = _kept_or_measured(option, runner, cost_model)
    broadcast_object_list(content, group=_patient_group())
    return _checked(table_of(content[0]), cost_model, str(dict(option)))


def _resumed_table(
    option: str | Mapping[str, Any], runner: Runner
) -> LatencyTable | None:
    """Return the table of the checkpoint, unless another one is named now."""
    try:
        state = (checkpoint_to_resume(runner) or {})['search']
        named, content = state['settings']['latency'], state['latency']
    except (KeyError, TypeError):  # of no search in milliseconds
        return None
    if not content or named != str(option):
        return None
    table, now = table_of(content), table_of(content)
    with suppress(OSError, ValueError):
        now = read_latency_table(str(option))
    if now.as_json() != table.as_json():
        runner.logger.warning(
            f'Resume: latency={option} is another table now, but that of the '
            'checkpoint is used. The new one is used under another name'
        )
    return table


def _patient_group() -> Any:
    """Return a group of all ranks; NCCL's would give up after ten minutes."""
    if not is_distributed():
        return None
    return new_group(backend='gloo', timeout=timedelta(hours=12))


def _kept_or_measured(
    option: Mapping[str, Any], runner: Runner, cost_model: CostModel
) -> dict[str, Any]:
    path = osp.join(runner.work_dir, TABLE)
    wanted = {**MEASURED, **option}
    timer = LocalTimer(
        RUNTIMES[wanted['backend']], wanted['device'], wanted['dtype']
    )
    here = dict(wanted, device=timer.device, version=timer.version)
    table = read_latency_table(path) if osp.isfile(path) else None
    if table is not None and _measured_here(table, here):
        try:
            _checked(table, cost_model, path)
        except ValueError as error:
            runner.logger.info(f'Search: measuring anew, {error}')
        else:
            runner.logger.info(f'Search: {path} is used, {table.conditions}')
            return table.as_json()
    table = _measured(wanted, timer, runner, cost_model)
    write_latency_table(table, path)
    return table.as_json()


def _measured_here(table: LatencyTable, here: Mapping[str, Any]) -> bool:
    """Return whether a table was measured as it would be now."""
    known = vars(table.conditions)
    return all(known[k] == v for k, v in here.items() if v != 'auto')


def _measured(
    wanted: Mapping[str, Any],
    timer: LocalTimer,
    runner: Runner,
    cost_model: CostModel,
) -> LatencyTable:
    with forked_rng(0), threads(wanted['threads']):
        builder = TableBuilder(
            deepcopy(bare_model(runner)).cpu().eval(),
            cost_model,
            timer,
            wanted['batch'],
            wanted['round'],
        )
        runner.logger.info(
            f'Search: measuring milliseconds, {builder.conditions()}'
        )
        table = builder.build()
    calibration = table.calibration
    runner.logger.info(
        'Search: milliseconds are predicted with a median error of '
        f'{calibration.median_error:.1%}, at worst '
        f'{calibration.worst_error:.1%}'
    )
    if not adds_up(calibration):
        runner.logger.warning(
            'Search: the parts do not add up on this device; the network will '
            'end near the target in milliseconds, but not at it. The worst '
            f'network is {worst(calibration)}'
        )
    return table


def why_not_measured(latency: Latency) -> str | None:
    """Return why this machine cannot time what the table is for, or None."""
    conditions = latency.table.conditions
    if device_named(conditions.device) is None:
        return f'this is {processor()}, the table is of {conditions.device}'
    if conditions.backend not in RUNTIMES:
        return f'its times are those of {conditions.version}'
    try:
        check_packages(RUNTIMES[conditions.backend])
    except ModuleNotFoundError as error:
        return str(error)
    return None


class MeasuredTime(NamedTuple):
    """Hold the time of a network, and how fast the device was.

    Attributes:
        ms: Milliseconds now.
        slowdown: Time of the reference network now, relative to its time when
            the table was measured: ``ms / slowdown`` is comparable with what
            the table predicts.
    """

    ms: float
    slowdown: float


def measured_time(model: nn.Module, latency: Latency) -> MeasuredTime:
    """Return the milliseconds of a network, measured as the table was."""
    table = latency.table
    conditions = table.conditions
    with forked_rng(0), threads(conditions.threads):
        timer = LocalTimer(
            RUNTIMES[conditions.backend],
            str(device_named(conditions.device)),
            conditions.dtype,
        )
        network = dict(network=deepcopy(model).cpu())
        ready = ready_networks(network, conditions, timer)
        times = time_networks(ready, timer)
    return MeasuredTime(times.networks[0], times.reference / table.reference)
