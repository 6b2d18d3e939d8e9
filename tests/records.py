"""A search to draw, without having run it."""

from pathlib import Path
from typing import Any

import tiny
import torch
from counting import random_keep

from hrnas_mm.report.record import (
    SCHEMA,
    Evaluation,
    Milestone,
    Record,
    Shrink,
    Target,
    write_record,
)
from hrnas_mm.search import REPORTED, CostModel, architecture_of, shrink_
from hrnas_mm.search.description import described_supernet


def make_record(
    shrinks: int = 3, target: bool = True, milestones: bool = True, **more: Any
) -> Record:
    """Three shrinks of the tiny supernet, with evaluations and a milestone."""
    torch.manual_seed(0)
    model = tiny.supernet()
    cost_model = CostModel(model, (3, 32, 32))
    history, evaluations = [], []
    for step in range(shrinks + 1):
        if step:
            shrink_(model, random_keep(model, share_empty=0.1))
        architecture = architecture_of(model)
        costs = cost_model.totals(architecture, REPORTED)
        counts = list(architecture.values())
        history.append(Shrink(10 * step, costs, 1e-3 * 2**step, counts))
        metrics = dict(aAcc=90.0 - step, mIoU=50.0 - step)
        evaluations.append(Evaluation(10 * step, costs, metrics))
    first = history[min(1, shrinks)]
    half = Milestone(
        '0.5',
        first.iter,
        first.costs,
        evaluations[min(1, shrinks)].metrics,
        first.counts,
    )
    return Record(
        **{
            **dict(
                schema=SCHEMA,
                supernet=described_supernet(cost_model),
                input_shape=[3, 32, 32],
                costs=history[0].costs,
                target=(
                    Target('macs', history[-1].costs['macs'])
                    if target
                    else None
                ),
                begin=0,
                end=30,
                max_iters=40,
                iter=40,
                history=history,
                evaluations=evaluations,
                milestones=[half] if milestones else [],
            ),
            **more,
        }
    )


def write_work_dir(folder: Path, **options: Any) -> Record:
    """A work_dir that has a search's record; returns the record."""
    folder.mkdir(parents=True, exist_ok=True)
    record = make_record(**options)
    write_record(str(folder), record)
    return record
