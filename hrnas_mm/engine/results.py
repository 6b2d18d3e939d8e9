"""The results of a search: ``work_dir/searched`` and ``work_dir/rungs``."""

import os
import os.path as osp
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.runner import Runner
from torch import nn

from ..files import replacing
from ..nested import plain
from ..resume.files import failing_clearly
from ..search import (
    architecture_of,
    describe_architecture,
    write_architecture,
)
from ..version import __version__
from ..visualization import write_report
from .circumstances import circumstances, training_curves
from .class_wise import ClassWise
from .journal import note_rung, write_search_record
from .milliseconds import measured, why_not_measured
from .predictions import draw_predictions
from .search import Search
from .searched_config import searched_config
from .surgery import deployed_model
from .tables import by_stage, comparison, evaluations, ladder


@master_only
def write_network(runner: Runner, search: Search, folder: str) -> None:
    """Write architecture.json, model.pth and config.py of the network.

    Args:
        runner: The runner, whose deployed model is recalibrated.
        search: The search of the run.
        folder: Folder to write; made if it does not exist.
    """
    with failing_clearly(folder, runner):
        _write_network(runner, search, folder)


def _write_network(runner: Runner, search: Search, folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    model = deployed_model(runner)
    description = describe_architecture(model, search.cost_model, search.costs)
    write_architecture(osp.join(folder, 'architecture.json'), description)
    checkpoint = dict(_checkpoint(runner, model), architecture=description)
    with replacing(osp.join(folder, 'model.pth')) as new:
        torch.save(checkpoint, new)
    config = searched_config(
        runner.cfg, description['units'], osp.join(folder, 'retrained')
    )
    if config is not None:
        with replacing(osp.join(folder, 'config.py')) as new:
            config.dump(new)


@master_only
def write_results(
    runner: Runner, search: Search, class_wise: ClassWise
) -> None:
    """Write ``work_dir/searched`` and ``report.html``; log the tables.

    Args:
        runner: The runner at the end of its training; its deployed model is
            recalibrated.
        search: The search of the run.
        class_wise: Per-class metrics of the run's evaluations.
    """
    folder = osp.join(runner.work_dir, 'searched')
    write_network(runner, search, folder)
    timed = note_ms(runner, search)
    found = [
        comparison(runner, search, timed),
        evaluations(runner, search),
        ladder(runner, search, timed),
    ]
    tables = [table for table in found if table is not None]
    more = [by_stage(runner, search), class_wise.table()]
    write_search_record(
        runner,
        search,
        run=circumstances(runner),
        curves=training_curves(runner),
        latency=timed,
        tables=[t._asdict() for t in [*tables, *more] if t is not None],
    )
    draw_predictions(runner)
    page = osp.join(runner.work_dir, 'report.html')
    runner.logger.info(
        f'Search finished; see {folder} and {page}\n'
        + '\n'.join(map(str, tables))
    )
    try:
        write_report(page, runner.work_dir)
    except Exception as error:  # the results are complete without it
        runner.logger.warning(
            f'{page} could not be drawn: {type(error).__name__}: {error}. '
            'tools/visualize.py report tries again'
        )


def write_rung(
    runner: Runner, search: Search, name: str, metrics: Mapping[str, Any]
) -> None:
    """Write ``work_dir/rungs/<name>`` and record what it has reached.

    Args:
        runner: The runner, whose deployed model is recalibrated.
        search: The search of the run.
        name: Name of the milestone.
        metrics: Metrics of the network as it is.
    """
    folder = osp.join(runner.work_dir, 'rungs', name)
    write_network(runner, search, folder)
    timed = note_ms(runner, search)
    note_rung(runner, search, name, metrics, timed)
    runner.logger.info(f'Search: milestone {name} reached; see {folder}')


@master_only
def note_ms(runner: Runner, search: Search) -> dict[str, Any] | None:
    """Measure the network as deployed, and log it beside the prediction.

    Returns:
        The milliseconds predicted and measured, and what with; None if the
        search knows no milliseconds.
    """
    latency = search.latency
    if latency is None:
        return None
    model = deployed_model(runner)
    predicted = search.totals(architecture_of(model))[latency.name]
    conditions = latency.table.conditions
    facts: dict[str, Any] = dict(
        predicted=predicted, conditions=str(conditions)
    )
    text = f'Search: {latency.format(predicted)} ms predicted, '
    why_not = why_not_measured(latency)
    if why_not is None:
        try:
            found = measured(model, latency)
        except Exception as error:  # the results are complete without it
            why_not = f'{type(error).__name__}: {error}'
    if why_not is None:
        facts.update(measured=found.ms, slowdown=found.slowdown)
        text += (
            f'{latency.format(found.ms)} ms measured, {conditions}; this '
            f'device takes {found.slowdown:.2f} times as long as when the '
            'table was measured'
        )
    else:
        text += f'not measured: {why_not}'
    runner.logger.info(text)
    return facts


def _checkpoint(runner: Runner, model: nn.Module) -> dict:
    """Return a checkpoint of tensors and plain types: loading runs no code."""
    metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', {})
    state_dict = {
        name: tensor.detach().cpu().clone()
        for name, tensor in model.state_dict().items()
    }
    meta = dict(
        dataset_meta=plain(metainfo),
        iter=runner.iter,
        epoch=runner.epoch,
        experiment_name=runner.experiment_name,
        hrnas_mm_version=__version__,
    )
    return dict(meta=meta, state_dict=state_dict)
