"""The options of the frameworks' test.py, in a config."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from command_line import call
from mmengine.config import Config
from mmengine.model import BaseTTAModel
from mmengine.registry import MODELS
from mmengine.runner import Runner
from testing.options import augment_, draw_into_, write_to_

from hrnas_mm.building import build_runner
from hrnas_mm.search import architecture_of

ROOT = Path(__file__).parents[2]


def config(scope: str, **more: Any) -> Config:
    metric = dict(type='Metric')
    return Config(dict(default_scope=scope, test_evaluator=metric, **more))


@pytest.mark.parametrize(
    ('scope', 'switch', 'folder'),
    [
        ('mmdet', 'draw', 'test_out_dir'),
        ('mmpose', 'enable', 'out_dir'),
        ('mmpretrain', 'enable', 'out_dir'),
        ('mmseg', 'draw', None),
    ],
)
@pytest.mark.parametrize('has_hook', [True, False])
def test_the_hook_draws_every_image(
    scope: str, switch: str, folder: str | None, has_hook: bool
) -> None:
    mine = dict(visualization=dict(type='Mine', interval=50))
    cfg = config(scope, default_hooks=mine if has_hook else {})
    draw_into_(cfg, 'drawn')
    hook = cfg.default_hooks.visualization
    assert (hook.type == 'Mine') == has_hook and hook.type.endswith(
        ('Mine', 'VisualizationHook')
    )
    assert hook[switch] is True and hook.interval == 1
    place = hook[folder] if folder else cfg.visualizer.save_dir
    assert place == str(Path.cwd() / 'drawn')


def test_lidar_frames_need_open3d(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('testing.options.find_spec', lambda name: None)
    with pytest.raises(ModuleNotFoundError, match='pip install open3d'):
        draw_into_(config('mmdet3d'), 'drawn')
    monkeypatch.setattr('testing.options.find_spec', lambda name: object())
    cfg = config('mmdet3d')
    draw_into_(cfg, 'drawn')
    assert cfg.default_hooks.visualization.vis_task == 'lidar_det'


@pytest.mark.parametrize(
    ('scope', 'out', 'metric'),
    [
        ('mmdet', 'a.pkl', 'DumpDetResults'),
        ('mmdet3d', 'a.pickle', 'DumpResults'),
        ('mmpretrain', 'a.pkl', 'DumpResults'),
    ],
)
def test_predictions_are_dumped(scope: str, out: str, metric: str) -> None:
    cfg = config(scope)
    write_to_(cfg, out)
    first, dumps = cfg.test_evaluator
    assert first.type == 'Metric'
    assert dumps == dict(type=metric, out_file_path=str(Path.cwd() / out))
    with pytest.raises(ValueError, match='--out must end in one of .pkl, .p'):
        write_to_(cfg, 'a.json')


def test_what_else_out_is() -> None:
    cfg = config('mmseg')
    write_to_(cfg, 'maps')
    assert cfg.test_evaluator.output_dir == str(Path.cwd() / 'maps')
    cfg = config('mmpose')
    write_to_(cfg, 'a.json')  # the metrics, which test.py writes
    assert cfg.test_evaluator == dict(type='Metric')
    with pytest.raises(ValueError, match='one of .json, .* got a.txt'):
        write_to_(cfg, 'a.txt')
    with pytest.raises(ValueError, match='one of mmseg, .* got mmengine'):
        write_to_(config('mmengine'), 'a.pkl')


@MODELS.register_module()
class TwiceTheSame(BaseTTAModel):
    def merge_preds(self, data_samples_list: Any) -> Any:
        raise NotImplementedError

    def test_step(self, data: Any) -> Any:
        return self.module.test_step(data)


def test_augmentation_takes_a_shrunk_network(tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / 'run', max_iters=8)
    runner = Runner.from_cfg(cfg)
    runner.train()
    expected = runner.val_loop.run()
    cfg = tiny.config(tmp_path / 'test')
    pipeline = [dict(type='Flip')]
    cfg.update(tta_model=dict(type='TwiceTheSame'), tta_pipeline=pipeline)
    cfg.load_from = str(tmp_path / 'run/iter_8.pth')
    dataset = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = dict(type='Outer', dataset=dataset)
    augment_(cfg)
    inner = cfg.test_dataloader.dataset.dataset
    assert inner.pop('pipeline') == pipeline
    cfg.test_dataloader.dataset = inner
    augmented = build_runner(cfg, 'test_dataloader')
    assert augmented.test() == expected
    model: Any = augmented.model
    small = architecture_of(model.module)
    assert sum(small.values()) < sum(architecture_of(tiny.supernet()).values())
    torch.testing.assert_close(
        model.module.state_dict(), dict(runner.model.state_dict())
    )


def test_augmentation_that_the_config_does_not_describe() -> None:
    with pytest.raises(ValueError, match='--tta needs tta_model .* got none'):
        augment_(config('mmseg'))


def test_files_are_looked_at_before_any_is_evaluated(tmp_path: Path) -> None:
    tool, missing = ROOT / 'tools/test.py', tmp_path / 'missing.onnx'
    config = ROOT / 'configs/mmseg/hrnas_demo_1xb8-300_cityscapes-128x256.py'
    result = call(tool, config, 'last.pth', missing)
    assert result.code == 2 and 'missing.onnx' in result.err
    result = call(tool, config, 'last.pth', '--backend', 'onnxruntime')
    assert result.code == 2 and '--backend runs ONNX files' in result.err


def test_figures_that_not_all_files_have(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Not by its name, which the standard library has, too.
    spec: Any = spec_from_file_location('tool', ROOT / 'tools/test.py')
    tool = module_from_spec(spec)
    spec.loader.exec_module(tool)
    tool.print_beside(
        {
            'a/last.pth': {'AP': 0.51234567, 'classwise': [1, 2]},
            'b/last.pth': {},
        }
    )
    printed = capsys.readouterr().out
    assert 'a/last.pth' in printed and 'b/last.pth' in printed
    (row,) = (line for line in printed.splitlines() if 'AP' in line)
    assert '0.512346' in row and ' - ' in row and 'classwise' not in printed
