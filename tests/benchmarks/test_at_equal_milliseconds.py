"""The table of networks at equal milliseconds, of runs that have ended."""

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import nn

from hrnas_mm.building import build_model
from hrnas_mm.deploy.dense import dense_part
from hrnas_mm.search.trace import trace

pytest.importorskip('mmseg')
NARROW = 'configs/mmseg/camvid/ddrnet-23-slim-w10_1xb8-1200_camvid-192x256.py'


def study() -> Any:
    """Return a small network's table."""
    from studies import STUDIES

    return STUDIES['camvid']._replace(
        reference=Path(NARROW), shape=(3, 64, 64)
    )


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    import at_equal_milliseconds as module

    monkeypatch.setitem(module.STUDIES, 'camvid', study())
    return module


def ended(folder: Path, state: dict[str, Any], figure: float) -> None:
    """Write what a run has left that is looked at."""
    log = folder / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    lines = [dict(loss=0.5, step=20), dict(mIoU=1.0, step=300)]
    lines += [dict(mIoU=figure, step=1200)]
    log.write_text('\n'.join(map(json.dumps, lines)))
    Config.fromfile(NARROW).dump(folder / 'config.py')
    torch.save(dict(state_dict=state), folder / 'iter_1200.pth')
    (folder / 'last_checkpoint').write_text('/moved/iter_1200.pth')


def test_rows_have_the_seeds_that_have_ended(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = build_model(Config.fromfile(NARROW)).state_dict()
    runs, out = tmp_path / 'runs', tmp_path / 'table.csv'
    for seed, figure in enumerate((50.0, 52.0, 54.0)):
        ended(runs / f'ddrnet/{seed}', state, figure)
    ended(runs / 'ddrnet-w16/1', state, 47.0)
    (runs / 'ddrnet-w16/2').mkdir()  # it has just begun
    arguments = ['camvid', str(out), '--work-dir', str(runs), '--seeds']
    monkeypatch.setattr(sys, 'argv', ['table', *arguments])
    # A search's network is deployed with the step of the search's table.
    searched, table = runs / 'ddrnet-w16/1', tmp_path / 'table.json'
    table.touch()
    cfg = Config.fromfile(searched / 'config.py')
    cfg.custom_hooks = [dict(type='Hook', latency=str(table))]
    cfg.dump(searched / 'config.py')
    conditions = SimpleNamespace(conditions=SimpleNamespace(round=4))
    monkeypatch.setattr(bench, 'read_latency_table', lambda path: conditions)
    deployed: dict[str, int] = {}

    def timed(models: Any, shape: Any, steps: Any) -> dict[str, float]:
        deployed.update(steps)
        return {n: 2.0 if 'w16' in n else 8.0 for n in models}

    monkeypatch.setattr(bench, 'timed', timed)
    bench.main()
    assert deployed == {str(searched): 4}
    with out.open(newline='') as file:
        first, second = csv.DictReader(file)
    assert (first['seeds'], second['seeds']) == ('0, 1, 2', '1')
    assert (first['mIoU'], first['mIoU_deviation']) == ('52.0', '2.0')
    assert (second['mIoU'], second['runs']) == ('47.0', '1')
    assert (second['ms'], second['ratio']) == ('2.00', '0.25')
    assert first['multiply_adds_M'] == second['multiply_adds_M']


def test_targets_are_shares_of_what_ddrnet_takes(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        bench, 'run', lambda *words: commands.append(tuple(map(str, words)))
    )
    runs = bench.Runs(bench.STUDIES['camvid'], tmp_path)
    monkeypatch.setattr(bench, 'timed', lambda *args: {'': 8.0})
    rows = {row.key: row for row in runs.study.rows}
    runs.train(rows['lite0-25%'], 2)
    runs.train(rows['lite0-torch-pruning-15%'], 0)
    measure, searched, pruned = commands
    assert measure[0] == 'tools/measure_latency.py'
    assert searched[-3:] == (
        'custom_hooks.1.target=2ms',
        f'custom_hooks.1.latency={measure[2]}',
        'randomness.seed=2',
    )
    assert 'custom_hooks.1.target=0.15' in pruned and '--resume' in pruned
    ended(tmp_path / 'ddrnet/0', {}, 50.0)
    runs.train(rows['ddrnet'], 0)
    assert len(commands) == 3
    monkeypatch.setattr(bench, 'timed', lambda *args: {'': 9.0})
    assert runs.whole_ms() == 8.0  # it stays


def test_a_pruned_network_has_the_sizes_of_its_weights(
    bench: Any, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    cfg = Config.fromfile(NARROW)
    model: Any = build_model(cfg).eval()
    stem = model.backbone.stem
    first, norm, second = stem[0].conv, stem[0].bn, stem[1].conv
    first.weight = nn.Parameter(first.weight[:3].detach())
    for name in ('weight', 'bias', 'running_mean', 'running_var'):
        getattr(norm, name).data = getattr(norm, name)[:3].clone()
    if first.bias is not None:
        first.bias = nn.Parameter(first.bias[:3].detach())
    second.weight = nn.Parameter(second.weight[:, :3].detach())
    path = tmp_path / 'iter_1200.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    found = bench.pruned_network(cfg, str(path))
    image = torch.randn(1, 3, 64, 64)
    for a, b in zip(found.backbone(image), model.backbone(image)):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    conv = found.backbone.stem[0].conv
    assert (conv.in_channels, conv.out_channels) == (3, 3)


@pytest.mark.parametrize('framework', ['mmpose', 'mmdet'])
def test_narrow_networks_of_people_fit_together(framework: str) -> None:
    pytest.importorskip(framework)
    from studies import STUDIES

    name = dict(mmpose='keypoints', mmdet='boxes')[framework]
    macs = []
    for row in STUDIES[name].rows:
        if row.share is None:
            cfg = Config.fromfile(row.config)
            cfg.merge_from_dict(dict(row.options))
            model = build_model(cfg).eval()
            shape = STUDIES[name].shape
            macs.append(trace(model, shape, dense_part(model)).macs[''])
    assert len(macs) == 3 and macs == sorted(macs, reverse=True)
