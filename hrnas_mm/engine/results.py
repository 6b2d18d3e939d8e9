"""The results of a search: ``work_dir/searched`` and ``milestones``."""

import os
import os.path as osp
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.runner import Runner
from torch import nn

from ..deploy import stage_names
from ..files import remove_leftovers_, replacing
from ..nested import plain
from ..report import write_report
from ..report.pictures import BATCH, PREDICTIONS
from ..report.record import RECORD, Stage, Timing
from ..report.tables import result_tables
from ..resume.files import failing_clearly
from ..runners import evaluated_model
from ..search import (
    architecture_of,
    describe_architecture,
    write_architecture,
)
from ..version import __version__
from .history import note_milestone, record_of, write_search_record
from .latency import measured_time, why_not_measured
from .search import Search
from .searched_config import searched_config

PAGE = 'report.html'
# mmengine puts the config's own folder here: it may have been moved.
BESIDE_IT = '{{ fileDirname }}/retrained'
SEARCHED = 'searched'
# What a search writes into its work_dir, and what is there only at its end.
RESULTS = (SEARCHED, 'milestones', RECORD, PAGE, PREDICTIONS, BATCH)
LAST = (osp.join(SEARCHED, 'model.pth'),)


@master_only
def write_network(search: Search, folder: str) -> None:
    """Write architecture.json, model.pth and config.py of the network.

    Args:
        search: The search of a run, whose evaluated model is recalibrated.
        folder: Folder to write; made if it does not exist.
    """
    with failing_clearly(folder, search.runner):
        _write_network(search, folder)


def _write_network(search: Search, folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    work_dir = osp.realpath(search.runner.work_dir)
    if osp.realpath(folder).startswith(work_dir + os.sep):
        remove_leftovers_(folder)  # unless a link leads elsewhere
    model = evaluated_model(search.runner)
    description = describe_architecture(model, search.cost_model, search.costs)
    write_architecture(osp.join(folder, 'architecture.json'), description)
    checkpoint = _checkpoint(search, model)
    checkpoint['architecture'] = description.as_json()
    with replacing(osp.join(folder, 'model.pth')) as new:
        torch.save(checkpoint, new)
    config = searched_config(search.runner.cfg, description.units, BESIDE_IT)
    if config is not None:
        with replacing(osp.join(folder, 'config.py')) as new:
            config.dump(new)


@master_only
def write_results(search: Search) -> None:
    """Write ``work_dir/searched`` and ``report.html``; log the tables.

    Args:
        search: The search of a run at the end of its training, whose
            evaluated model is recalibrated.
    """
    runner = search.runner
    folder = osp.join(runner.work_dir, SEARCHED)
    write_network(search, folder)
    known = dict(
        latency=time_network(search),
        stages=stages_of(search),
        finished=True,
    )
    write_search_record(search, **known)
    page = osp.join(runner.work_dir, PAGE)
    tables = result_tables(record_of(search, **known))
    runner.logger.info(
        f'Search finished; see {folder} and {page}\n'
        + '\n'.join(map(str, tables))
    )
    write_page(runner)


@master_only
def write_page(runner: Runner) -> None:
    """Write the page from the record as it is; a failure is a warning."""
    page = osp.join(runner.work_dir, PAGE)
    try:
        write_report(page, runner.work_dir)
    except Exception as error:  # the results are complete without it
        runner.logger.warning(
            f'{page} could not be drawn: {type(error).__name__}: {error}. '
            f'tools/visualize.py report {runner.work_dir} tries again'
        )


def write_milestone(
    search: Search, name: str, metrics: Mapping[str, Any]
) -> None:
    """Write ``work_dir/milestones/<name>`` and record what it has reached.

    Args:
        search: The search of a run, whose evaluated model is recalibrated.
        name: Name of the milestone.
        metrics: Metrics of the network as it is.
    """
    runner = search.runner
    folder = osp.join(runner.work_dir, 'milestones', name)
    write_network(search, folder)
    note_milestone(search, name, metrics, time_network(search))
    runner.logger.info(f'Search: milestone {name} reached; see {folder}')


@master_only
def time_network(search: Search) -> Timing | None:
    """Time the network as deployed, and log it beside the prediction.

    Returns:
        The milliseconds predicted and, where this device can, measured; None
        if the search knows no milliseconds.
    """
    latency = search.latency
    if latency is None:
        return None
    model = evaluated_model(search.runner)
    predicted = search.totals(architecture_of(model))[latency.name]
    timing = Timing(predicted)
    text = f'Search: {latency.format(predicted)} ms predicted, '
    why_not = why_not_measured(latency)
    if why_not is None:
        try:
            found = measured_time(model, latency)
        except Exception as error:  # the results are complete without it
            why_not = f'{type(error).__name__}: {error}'
    if why_not is None:
        timing = Timing(predicted, found.ms, found.slowdown)
        text += (
            f'{latency.format(found.ms)} ms measured, '
            f'{latency.table.conditions}; this device takes '
            f'{found.slowdown:.2f} times as long as when the table was '
            'measured'
        )
    else:
        text += f'not measured: {why_not}'
    step = latency.table.conditions.round
    search.runner.logger.info(
        f'{text}. It is deployed with export_onnx --round {step}'
    )
    return timing


def stages_of(search: Search) -> list[Stage]:
    """Return the multiply-adds of every stage before and after the search."""
    model, cost_model = evaluated_model(search.runner), search.cost_model
    now = architecture_of(model)
    stages = (
        Stage(
            name,
            cost_model.macs_within(name, cost_model.supernet),
            cost_model.macs_within(name, now),
        )
        for name in stage_names(model)
    )
    return [stage for stage in stages if stage.supernet]


def _checkpoint(search: Search, model: nn.Module) -> dict[str, Any]:
    """Return a checkpoint of tensors and plain types: loading runs no code."""
    runner = search.runner
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
