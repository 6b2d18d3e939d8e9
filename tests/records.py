"""A search to draw, without having run it."""

import tiny
import torch
from counting import random_keep
from hrnas_mm.report.record import write_record

from hrnas_mm.search import (
    REPORTED,
    CostModel,
    architecture_of,
    shrink_,
)
from hrnas_mm.search.description import described_supernet


def make_record(shrinks=3, target=True, milestones=True, **more):
    """Three shrinks of the tiny supernet, with evaluations and a rung."""
    torch.manual_seed(0)
    model = tiny.supernet()
    cost_model = CostModel(model, (3, 32, 32))
    history, evaluations = [], []
    for step in range(shrinks + 1):
        if step:
            shrink_(model, random_keep(model, share_empty=0.1))
        architecture = architecture_of(model)
        entry = dict(
            iter=10 * step,
            costs=cost_model.totals(architecture, REPORTED),
            rho=1e-3 * 2**step,
            counts=list(architecture.values()),
        )
        history.append(entry)
        metrics = dict(aAcc=90.0 - step, mIoU=50.0 - step, text='no number')
        evaluations.append(
            dict(iter=entry['iter'], costs=entry['costs'], metrics=metrics)
        )
    rung = dict(history[1], name='0.5', metrics=evaluations[1]['metrics'])
    return dict(
        supernet=described_supernet(cost_model),
        input_shape=[3, 32, 32],
        costs=history[0]['costs'],
        target=dict(amount=history[-1]['costs']['macs'], cost='macs')
        if target
        else None,
        begin=0,
        end=30,
        max_iters=40,
        history=history,
        evaluations=evaluations,
        milestones=[rung] if milestones else [],
        **more,
    )


def write_work_dir(folder, **options):
    """A work_dir that has a search's record; returns the record."""
    folder.mkdir(parents=True, exist_ok=True)
    record = make_record(**options)
    write_record(str(folder), record)
    return record
