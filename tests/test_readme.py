"""The README's configs and commands, as they are printed."""

import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from command_line import checked
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import HOOKS

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import prepare_config
from hrnas_mm.deploy import cost_model_of
from hrnas_mm.engine import ProgressiveShrinkHook
from hrnas_mm.search import parse_budget
from hrnas_mm.search_in_config import search_shape

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text()
CONFIGS = dict(re.findall(r'```python\n *# (\w+\.py)\n(.*?)```', README, re.S))
PLAIN_LOOP = CONFIGS.pop('shrink.py')


def test_its_configs_are_found() -> None:
    assert set(CONFIGS) == {
        'search.py', 'my_config.py', 'pose.py', 'detection.py', 'lidar.py',
        'mobilenet.py', 'pretrained.py',
    }  # fmt: skip


@pytest.mark.parametrize('name', CONFIGS)
def test_config(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    lines = CONFIGS[name].splitlines()
    indent = min(len(x) - len(x.lstrip()) for x in lines if x.strip())
    text = '\n'.join(line[indent:] for line in lines)
    path.write_text(text)
    framework = re.findall(r"'(\w+)::", text)[0]
    pytest.importorskip(framework)
    cfg = prepare_config(str(path))
    model = build_model(cfg)
    hooks = [HOOKS.build(hook) for hook in cfg.get('custom_hooks', [])]
    found = [h for h in hooks if isinstance(h, ProgressiveShrinkHook)]
    assert len(found) == (0 if name == 'my_config.py' else 1)
    shape = search_shape(cfg) or (512, 1024)
    cost_model = cost_model_of(model, shape)
    for hook in found:
        target = hook.options.target
        assert target is not None
        assert parse_budget(target, cost_model).amount > 0


def test_what_is_searched_is_used_in_a_process_of_its_own(
    tmp_path: Path,
) -> None:
    """Where mmseg is imported before anything of ours."""
    pytest.importorskip('mmseg')
    if MODULE2PACKAGE['mmseg'] != 'mmsegmentation':
        pytest.skip('a fork, which finds mmseg:: after import hrnas_mm only')
    (snippet,) = re.findall(
        r'```python\n( *from mmseg.apis import .*?)```', README, re.S
    )
    demo = ROOT / 'configs/mmseg/hrnas_demo_1xb8-300_cityscapes-128x256.py'
    (tmp_path / 'my_config.py').write_text(
        f'_base_ = {str(demo)!r}\n'
        "custom_imports = dict(imports=['hrnas_mm'])\n"
    )
    folder = tmp_path / 'work_dirs/my_config/searched'
    folder.mkdir(parents=True)
    model = build_model(prepare_config(str(demo)))
    meta = dict(dataset_meta=dict(classes=('a',) * 19, palette=[[0] * 3] * 19))
    state_dict = model.state_dict()
    torch.save(dict(meta=meta, state_dict=state_dict), folder / 'model.pth')
    cv2.imwrite(str(tmp_path / 'street.png'), np.zeros((64, 96, 3), np.uint8))
    code = textwrap.dedent(snippet)
    result = subprocess.run(
        [sys.executable, '-c', f'{code}\nprint(type(result).__name__)'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.splitlines()[-1] == 'SegDataSample'
    assert 'Traceback' not in result.stderr


NETWORK = """
import torch
from torch import nn

from hrnas_mm.modules import SearchingBlock

torch.manual_seed(0)
torch.set_num_threads(1)
model = nn.Sequential(
    nn.Conv2d(3, 8, 3, stride=2, padding=1),
    SearchingBlock(8, 8, num_tokens=4),
    SearchingBlock(8, 12, stride=2, num_tokens=4),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 2),
)
supernet = sum(p.numel() for p in model.parameters())
labels = torch.tensor([0, 1] * 8)
bars = torch.zeros(2, 1, 32, 32)
bars[0, :, ::4] = bars[1, :, :, ::4] = 1
batches = [(bars[labels] + torch.randn(16, 3, 32, 32), labels)] * 130
"""
END = """
import torch
from torch.utils.flop_counter import FlopCounterMode

macs = []
for network in (model, average.module):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.requires_grad_(False).eval()(images[:1])
    macs.append(counter.get_total_flops() // 2)
    assert (network(images).argmax(1) == labels).float().mean() > 0.9
assert macs[0] == macs[1] == cost_model.total(
    {name: len(keep[name]) for name in keep}
)
assert 0.97 * budget.amount <= macs[0] <= budget.amount
assert len(optimizer.param_groups[0]['params']) == len([*model.parameters()])
"""
BLOCKED = """
import sys
for name in ('mmengine', 'mmcv', 'matplotlib', 'rich', 'jinja2'):
    sys.modules[name] = None
"""


def test_a_plain_loop_without_openmmlab(tmp_path: Path) -> None:
    (tmp_path / 'my_network.py').write_text(BLOCKED + NETWORK)
    (tmp_path / 'shrink.py').write_text(PLAIN_LOOP + END)
    result = subprocess.run(
        [sys.executable, 'shrink.py'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    lines = PLAIN_LOOP[PLAIN_LOOP.index('average =') :].splitlines()
    assert len(lines) <= 20


def test_one_line_in_an_hrnets_config(tmp_path: Path) -> None:
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
        checked(*args)
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    assert 'starts from scratch' in log and 'mIoU' in log
