"""A search to draw, without having run it."""

import tiny
import torch
from counting import random_keep

from hrnas_mm.search import CostModel, architecture_of, count_params, shrink_
from hrnas_mm.search.record import write_record


def make_record(shrinks=3, target=True, rungs=True, **more):
    """Three shrinks of the tiny supernet, with evaluations and a rung."""
    torch.manual_seed(0)
    model = tiny.supernet()
    cost_model = CostModel(model, (3, 32, 32))
    history, evaluations = [], []
    for step in range(shrinks + 1):
        if step:
            shrink_(model, random_keep(model, share_empty=0.1))
        architecture = architecture_of(model)
        kinds = {'k3': 0, 'k5': 0, 'tokens': 0}
        for name, count in architecture.items():
            kinds[name.rsplit('.', 1)[-1]] += count
        entry = dict(
            iter=10 * step,
            macs=cost_model.total(architecture),
            params=count_params(model),
            rho=1e-3 * 2**step,
            counts=list(architecture.values()),
            **kinds,
        )
        history.append(entry)
        metrics = dict(aAcc=90.0 - step, mIoU=50.0 - step, text='no number')
        evaluations.append(
            dict(iter=entry['iter'], macs=entry['macs'], metrics=metrics)
        )
    rung = dict(history[1], name='0.5', metrics=evaluations[1]['metrics'])
    supernet = cost_model.supernet
    return dict(
        supernet=supernet,
        input_shape=[3, 32, 32],
        macs=cost_model.total(supernet),
        params=cost_model.total(supernet, 'params'),
        target=dict(amount=history[-1]['macs'], resource='macs')
        if target
        else None,
        begin=0,
        end=30,
        max_iters=40,
        history=history,
        evaluations=evaluations,
        rungs=[rung] if rungs else [],
        **more,
    )


def write_work_dir(folder, **options):
    """A work_dir that has a search's record; returns the record."""
    folder.mkdir(parents=True, exist_ok=True)
    record = make_record(**options)
    write_record(str(folder), record)
    return record
