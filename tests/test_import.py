"""Importing the package needs torch, mmengine and mmcv, and nothing else."""

import subprocess
import sys

CODE = """
import sys
for name in ('mmseg', 'mmpose', 'mmdet', 'mmdet3d', 'mmpretrain'):
    sys.modules[name] = None
import hrnas_mm
from mmengine.registry import HOOKS, MODELS
assert 'HRNASSupernet' in MODELS and 'ProgressiveShrinkHook' in HOOKS
"""


def test_import_without_any_framework():
    subprocess.run([sys.executable, '-c', CODE], check=True)


def test_child_registry_imports_by_itself():
    code = (
        'from mmengine.registry import HOOKS; '
        "hook = HOOKS.build(dict(type='hrnas_mm.ProgressiveShrinkHook', "
        'interval=1, rho=0)); '
        "assert type(hook).__name__ == 'ProgressiveShrinkHook'"
    )
    subprocess.run([sys.executable, '-c', code], check=True)
