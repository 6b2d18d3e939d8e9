"""States, architectures and results that somebody has edited."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from killing import train
from mmengine.runner import Runner

from hrnas_mm.engine.milestones import parse_milestones
from hrnas_mm.engine.options import SearchOptions
from hrnas_mm.engine.state import numbers
from hrnas_mm.files import write_json
from hrnas_mm.search import CostModel

OPTIONS: dict[str, Any] = dict(
    target=0.5, interval=3, importance='taylor', begin=2, end=7
)


@pytest.fixture(scope='module')
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in the middle of a search."""
    folder = tmp_path_factory.mktemp('search')
    torch.set_num_threads(1)
    assert train(tiny.config(folder, max_iters=8, **OPTIONS)) == 0
    return folder / 'iter_4.pth'


def shrink(checkpoint: dict[str, Any]) -> dict[str, Any]:
    return checkpoint['search']['history']['shrinks'][0]


@pytest.mark.parametrize(
    'edit, message',
    [
        (lambda c: c['search']['controller'].update(start=0), 'its start'),
        (lambda c: c['search']['controller'].update(start=-1), 'its start'),
        (lambda c: c['search']['controller'].update(begin=6), 'its begin'),
        (lambda c: c['search']['controller'].update(begin=-1), 'its begin'),
        (lambda c: c['search']['controller'].update(rho=-1), 'its rho'),
        (
            lambda c: c['search']['controller'].update(rho=torch.nan),
            'its rho',
        ),
        (
            lambda c: c['search']['controller'].update(start=10**400),
            'start must be of at most 64 bits',
        ),
        (
            lambda c: c['search']['controller'].update(last_shrink=10**9),
            'its last_shrink',
        ),
        (lambda c: shrink(c).update(iter=10**9), 'its history'),
        (lambda c: shrink(c)['counts'].pop(), 'its history'),
        (lambda c: shrink(c)['counts'].append(-1), 'its history'),
        (
            lambda c: c['search']['importance'].update(sums=[[1.0]]),
            'its importance',
        ),
        (lambda c: c['search']['importance'].pop('sums'), 'its importance'),
        (lambda c: c['meta'].update(iter=10**9), 'its iter must be .* 12,'),
        (lambda c: c['meta'].update(iter=-3), 'its iter must be'),
        (lambda c: c['meta'].update(epoch=-3), 'its epoch must be'),
    ],
)
def test_a_state_that_cannot_be_is_refused(
    tmp_path: Path,
    search: Path,
    edit: Callable[[dict[str, Any]], object],
    message: str,
) -> None:
    """Before an iteration, and before 10**9 batches are drawn."""
    checkpoint = torch.load(search)
    edit(checkpoint)
    torch.save(checkpoint, tmp_path / 'bad.pth')
    cfg = tiny.config(tmp_path / 'run', max_iters=12, **OPTIONS)
    cfg.load_from, cfg.resume = str(tmp_path / 'bad.pth'), True
    with pytest.raises((ValueError, RuntimeError), match=message) as error:
        Runner.from_cfg(cfg).train()
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('arch', [3, [3], ('a', 1), 0.5])
def test_an_architecture_of_another_type(arch: Any) -> None:
    with pytest.raises(ValueError, match='^arch must be .*, got '):
        tiny.supernet(arch=arch)


@pytest.mark.parametrize('name', ['warmup', 'threshold'])
def test_options_that_must_not_be_none(name: str) -> None:
    nothing: dict[str, Any] = {name: None}
    with pytest.raises(ValueError, match=f'{name} must be a .*, got None'):
        SearchOptions(target=0.5, **nothing)


def test_json_has_no_nan(tmp_path: Path) -> None:
    content = dict(a=[torch.nan, (1.5, -torch.inf)], b={'c': torch.inf}, d=1)
    write_json(str(tmp_path / 'a.json'), content)
    text = (tmp_path / 'a.json').read_text()
    assert json.loads(text, parse_constant=pytest.fail) == dict(
        a=[None, [1.5, None]], b=dict(c=None), d=1
    )
    metrics = dict(miou=torch.nan, acc=1.0, loss=torch.inf)
    assert numbers(metrics) == dict(acc=1.0)


def test_names_of_milestones_are_names_of_folders() -> None:
    cost_model = CostModel(tiny.supernet(), (3, 32, 32))
    amount = cost_model.total(cost_model.supernet) / 2e6
    texts: list[Any] = [f'{amount:.4f} M', {'macs': f' {amount / 2:.4f}\tM'}]
    names = [m.name for m in parse_milestones(texts, cost_model, None)]
    assert names == [f'{amount:.4f}M', f'{amount / 2:.4f}M_macs']
