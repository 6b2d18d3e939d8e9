"""What a search leaves behind: ``work_dir/searched`` and ``rungs``."""

import os
import os.path as osp
from collections.abc import Mapping

import torch
from mmengine.dist import master_only
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table
from torch import nn

from .. import compat
from ..config import build_model, searched_config
from ..search import (
    CostModel,
    architecture_of,
    count_params,
    write_architecture,
)
from ..search.files import replacing
from ..version import __version__
from .checkpoints import failing_clearly
from .dense import dense_part
from .latency import latency
from .report import EVALUATIONS, RUNGS, append
from .surgery import deployed_model

MOST_METRICS = 10  # in a table


@master_only
def write_network(runner: Runner, cost_model: CostModel, folder: str) -> None:
    """Write architecture.json, model.pth and config.py of the network.

    Args:
        runner: Its deployed model is recalibrated.
        cost_model: Of the supernet that the search began with.
        folder: Is made.
    """
    with failing_clearly(folder, runner):
        _write_network(runner, cost_model, folder)


def _write_network(runner: Runner, cost_model: CostModel, folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    model = deployed_model(runner)
    architecture = architecture_of(model)
    facts = dict(
        macs=cost_model.total(architecture),
        params=count_params(model),
        input_shape=list(cost_model.input_shape),
    )
    write_architecture(
        osp.join(folder, 'architecture.json'), architecture, **facts
    )
    with replacing(osp.join(folder, 'model.pth')) as new:
        torch.save(_checkpoint(runner, model), new)
    config = searched_config(runner.cfg, architecture)
    if config is not None:
        with replacing(osp.join(folder, 'config.py')) as new:
            config.dump(new)


@master_only
def write_results(runner: Runner, cost_model: CostModel) -> None:
    """Write ``work_dir/searched``; log the tables.

    Args:
        runner: At the end of training; its deployed model is recalibrated.
        cost_model: Of the supernet that the search began with.
    """
    folder = osp.join(runner.work_dir, 'searched')
    write_network(runner, cost_model, folder)
    tables = [_comparison(runner, deployed_model(runner), cost_model)]
    rungs = runner.message_hub.runtime_info.get(RUNGS, [])
    if rungs:
        tables.append(_ladder(rungs, _last_rung(runner, cost_model)))
    runner.logger.info(
        f'Search finished; see {folder}\n' + '\n'.join(map(_text, tables))
    )


def write_rung(
    runner: Runner, cost_model: CostModel, name: str, metrics: Mapping
) -> None:
    """Write ``work_dir/rungs/<name>``, and remember what it has reached.

    Args:
        runner: Its deployed model is recalibrated.
        cost_model: Of the supernet that the search began with.
        name: Of the milestone.
        metrics: Of the network as it is.
    """
    folder = osp.join(runner.work_dir, 'rungs', name)
    write_network(runner, cost_model, folder)
    append(runner, RUNGS, _rung(runner, cost_model, name, metrics))
    runner.logger.info(f'Search: milestone {name} reached; see {folder}')


def _rung(
    runner: Runner, cost_model: CostModel, name: str, metrics: Mapping
) -> dict:
    model = deployed_model(runner)
    return dict(
        name=name,
        iter=runner.iter,
        macs=cost_model.total(architecture_of(model)),
        params=count_params(model),
        metrics=compat.plain(dict(metrics)),
    )


def _last_rung(runner: Runner, cost_model: CostModel) -> dict:
    evaluations = runner.message_hub.runtime_info.get(EVALUATIONS, [])
    last = evaluations[-1] if evaluations else dict(iter=None)
    metrics = last['metrics'] if last['iter'] == runner.iter else {}
    return _rung(runner, cost_model, 'searched', metrics)


def _ladder(rungs: list[dict], last: dict) -> Table:
    """One row for each milestone, and one for the network at the end."""
    metrics = list(_summary(rungs[0]['metrics']))
    table = Table(title='Milestones')
    for column in (
        '',
        'iteration',
        'multiply-adds',
        'parameters',
        *metrics,
    ):
        table.add_column(column, justify='right')
    for rung in [*rungs, last]:
        values = [rung['metrics'].get(name) for name in metrics]
        table.add_row(
            rung['name'],
            str(rung['iter']),
            f'{rung["macs"] / 1e9:.4f} G',
            f'{rung["params"] / 1e6:.3f} M',
            *('-' if v is None else f'{v:.4g}' for v in values),
        )
    return table


def _checkpoint(runner: Runner, model: nn.Module) -> dict:
    """Tensors and plain types only: loading it can run no code."""
    metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', {})
    state_dict = {
        name: tensor.detach().cpu().clone()
        for name, tensor in model.state_dict().items()
    }
    meta = dict(
        dataset_meta=compat.plain(metainfo),
        iter=runner.iter,
        epoch=runner.epoch,
        experiment_name=runner.experiment_name,
        hrnas_mm_version=__version__,
    )
    return dict(meta=meta, state_dict=state_dict)


def _comparison(
    runner: Runner, model: nn.Module, cost_model: CostModel
) -> Table:
    """Compare the searched network with the supernet it began as."""
    supernet = _build_supernet(runner)
    full = cost_model.total(cost_model.supernet)
    now = cost_model.total(architecture_of(model))
    table = Table(title=f'At {cost_model.input_shape}')
    for column in ('', 'supernet', 'searched'):
        table.add_column(column, justify='right')
    table.add_row('multiply-adds', f'{full / 1e9:.4f} G', f'{now / 1e9:.4f} G')
    models = [m for m in (supernet, model) if m is not None]
    params = [f'{count_params(m) / 1e6:.3f} M' for m in models]
    dense = [dense_part(m) for m in models]
    times = [f'{t:.1f}' for t in latency(dense, cost_model.input_shape)]
    for name, cells in (('parameters', params), ('ms per image', times)):
        table.add_row(name, *['-'] * (2 - len(cells)), *cells)
    for row in _metric_rows(runner, full):
        table.add_row(*row)
    return table


def _text(table: Table) -> str:
    console = Console(width=100, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def _build_supernet(runner: Runner) -> nn.Module | None:
    if not isinstance(runner.cfg.get('model'), dict):
        return None
    device = next(runner.model.parameters()).device
    return build_model(runner.cfg).to(device)


def _metric_rows(runner: Runner, full: int) -> list[tuple[str, str, str]]:
    """Name, first and last value of each metric.

    The first is the supernet's own if it was evaluated before it shrank;
    otherwise it tells when it was taken.
    """
    evaluations = runner.message_hub.runtime_info.get(EVALUATIONS, [])
    if not evaluations or evaluations[-1]['iter'] != runner.iter:
        return []
    first, last = evaluations[0], evaluations[-1]
    when = '' if first['macs'] == full else f' (iteration {first["iter"]})'
    return [
        (name, f'{first["metrics"][name]:.4g}{when}', f'{value:.4g}')
        for name, value in _summary(last['metrics']).items()
    ]


def _summary(metrics: Mapping) -> dict[str, float]:
    """The numbers among metrics; of KITTI's 108 the last, which sum up."""
    numbers = {
        name: value
        for name, value in metrics.items()
        if isinstance(value, (int, float))
    }
    return dict(list(numbers.items())[-MOST_METRICS:])
