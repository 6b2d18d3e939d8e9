"""Checkpoints hold tensors and plain types, whatever was put into them."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.registry import PARAM_SCHEDULERS

from hrnas_mm.nested import plain
from hrnas_mm.resume.plain import plain_checkpoint_, restore_checkpoint_

LOGGER = logging.getLogger('test_plain')


def test_checkpoint_of_a_runner_loads_without_running_code(
    tmp_path: Path,
) -> None:
    hub = MessageHub.get_instance('test_compat')
    for value in (1.5, 2.5):
        hub.update_scalar('train/loss', value)
    hub.update_info('best', np.float64(3))
    meta = dict(dataset_meta=dict(sigmas=np.ones(2), classes=('a', 'b')))
    checkpoint = dict(meta=meta, message_hub=hub.state_dict())
    plain_checkpoint_(checkpoint, LOGGER)
    torch.save(checkpoint, tmp_path / 'a.pth')
    loaded = torch.load(tmp_path / 'a.pth', weights_only=True)
    assert loaded['meta']['dataset_meta'] == dict(
        sigmas=[1.0, 1.0], classes=('a', 'b')
    )
    restore_checkpoint_(loaded)
    other = MessageHub.get_instance('test_compat_other')
    other.load_state_dict(loaded['message_hub'])
    assert other.get_info('best') == 3
    buffer = other.get_scalar('train/loss')
    assert isinstance(buffer, HistoryBuffer)
    log, count = buffer.data
    assert log.tolist() == [1.5, 2.5] and count.tolist() == [1, 1]


@pytest.mark.parametrize('kind', ['OneCycleLR', 'ReduceOnPlateauLR'])
def test_any_scheduler_resumes(kind: str, tmp_path: Path) -> None:
    options: dict[str, dict[str, Any]] = dict(
        OneCycleLR=dict(eta_max=1.0, total_steps=10),
        ReduceOnPlateauLR=dict(monitor='loss'),
    )

    def build() -> tuple[Any, torch.optim.Optimizer]:
        param = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([param], lr=0.1)
        cfg = dict(type=kind, optimizer=optimizer, **options[kind])
        return PARAM_SCHEDULERS.build(cfg), optimizer

    (scheduler, optimizer), (other, other_optimizer) = build(), build()
    for _ in range(4):
        scheduler.step(*([dict(loss=1.0)] if kind[0] == 'R' else []))
    state = scheduler.state_dict()
    checkpoint = dict(param_schedulers=[state], meta={})
    plain_checkpoint_(checkpoint, LOGGER)
    torch.save(checkpoint, tmp_path / 'a.pth')
    loaded = torch.load(tmp_path / 'a.pth', weights_only=True)
    other.load_state_dict(loaded['param_schedulers'][0])
    other_optimizer.load_state_dict(optimizer.state_dict())
    for each in (scheduler, other):
        each.step(*([dict(loss=1.0)] if kind[0] == 'R' else []))
    assert scheduler.get_last_value() == other.get_last_value()


def test_checkpoints_of_others_are_left_alone() -> None:
    buffer = HistoryBuffer([1.0], [1])
    checkpoint = dict(message_hub=dict(log_scalars=dict(loss=buffer)))
    restore_checkpoint_(checkpoint)
    assert checkpoint['message_hub']['log_scalars']['loss'] is buffer
    bare: dict[str, Any] = dict(state_dict={})
    restore_checkpoint_(bare)
    assert bare == dict(state_dict={})


def test_plain_keeps_containers() -> None:
    value = dict(a=[np.int64(1), (np.array([2]), 'x')], b=None)
    assert plain(value) == dict(a=[1, ([2], 'x')], b=None)
    (key,) = plain({np.str_('DontCare'): -1})  # of KITTI's data set
    assert type(key) is str


class Thing:
    """What no file should have to run code for."""


def test_what_is_not_plain_is_left_out_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = dict(
        meta={},
        of_a_hook=dict(thing=Thing(), numbers=[np.int64(1), (Thing(), 2)]),
    )
    with caplog.at_level(logging.WARNING):
        plain_checkpoint_(checkpoint, LOGGER)
    assert checkpoint['of_a_hook'] == dict(numbers=[1, (None, 2)])
    for name in (
        "of_a_hook['thing'], of type Thing",
        "of_a_hook['numbers'][1][0]",
    ):
        assert name in caplog.text
    torch.save(checkpoint, tmp_path / 'a.pth')
    torch.load(tmp_path / 'a.pth', weights_only=True)
