"""All configs build, at full size, and count what their headers say."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import HOOKS

from hrnas_mm.config import build_model
from hrnas_mm.engine import ProgressiveShrinkHook
from hrnas_mm.engine.checks import input_shape_of
from hrnas_mm.search import CostModel, parse_budget

ROOT = Path(__file__).parents[1] / 'configs'
CONFIGS = sorted(
    str(path.relative_to(ROOT))
    for path in ROOT.glob('*/*.py')
    if path.parent.name != '_base_'
)
SIZES = {  # multiply-adds of the supernet
    'hrnas-a_8xb4-40k_cityscapes-512x1024.py': 62.3,
    'hrnas_1xb8-1200_camvid-192x256.py': 0.92,
    'hrnas_demo_1xb8-300_cityscapes-128x256.py': 0.153,
}
pytest.importorskip('mmseg')


@pytest.mark.parametrize('name', CONFIGS)
def test_config_builds(name):
    text = (ROOT / name).read_text()
    assert len(text.splitlines()) <= 62
    assert re.match(r'# [\s\S]*\n#   .*(tools/(dist_)?train|make )', text), (
        name
    )
    cfg = Config.fromfile(str(ROOT / name))
    model = build_model(cfg)
    cost_model = CostModel(model, input_shape_of(model))
    macs = cost_model.total(cost_model.supernet) / 1e9
    assert macs == pytest.approx(SIZES[Path(name).name], rel=0.02)
    hooks = [HOOKS.build(hook) for hook in cfg.custom_hooks]
    (hook,) = (h for h in hooks if isinstance(h, ProgressiveShrinkHook))
    assert parse_budget(hook.target, cost_model).amount > 0
