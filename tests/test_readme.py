"""The README's configs and commands, as they are printed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.registry import HOOKS

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import prepare_config, search_shape
from hrnas_mm.engine import ProgressiveShrinkHook
from hrnas_mm.measure import cost_model_of
from hrnas_mm.search import parse_budget

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text()
CONFIGS = dict(re.findall(r'```python\n *# (\w+\.py)\n(.*?)```', README, re.S))


def test_its_configs_are_found():
    assert set(CONFIGS) == {
        'my_config.py', 'pose.py', 'detection.py', 'lidar.py', 'mobilenet.py',
    }  # fmt: skip


@pytest.mark.parametrize('name', CONFIGS)
def test_config(name, tmp_path):
    path = tmp_path / name
    lines = CONFIGS[name].splitlines()
    indent = min(len(x) - len(x.lstrip()) for x in lines if x.strip())
    text = '\n'.join(line[indent:] for line in lines)
    path.write_text(text)
    framework = re.search(r"'(\w+)::", text)[1]
    pytest.importorskip(framework)
    cfg = prepare_config(str(path))
    model = build_model(cfg)
    hooks = [HOOKS.build(hook) for hook in cfg.get('custom_hooks', [])]
    found = [h for h in hooks if isinstance(h, ProgressiveShrinkHook)]
    assert len(found) == (0 if name == 'my_config.py' else 1)
    shape = search_shape(cfg) or (512, 1024)
    cost_model = cost_model_of(model, shape)
    for hook in found:
        assert parse_budget(hook.options.target, cost_model).amount > 0


def test_one_line_in_an_hrnets_config(tmp_path):
    pytest.importorskip('mmseg')
    (block,) = re.findall(
        r'```bash\n(python tools/make_demo_data.py cityscapes .*?)```',
        README,
        re.S,
    )
    data = str(tmp_path / 'data')
    block = block.replace('data/few_cityscapes', data)
    make, train = block.replace('\\\n', ' ').strip().splitlines()
    for line in (
        make,
        f'{train} train_dataloader.num_workers=0 val_dataloader.num_workers=0 '
        'train_dataloader.persistent_workers=False '
        'val_dataloader.persistent_workers=False '
        f'work_dir={tmp_path / "work"}',
    ):
        python, *args = shlex.split(line)
        assert python == 'python'
        result = subprocess.run(
            [sys.executable, *args], cwd=ROOT, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr[-3000:]
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    assert 'starts from scratch' in log and 'mIoU' in log
