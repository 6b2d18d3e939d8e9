"""Each work-around does what it is for."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest


def test_a_cache_size_that_the_user_set_stays():
    name = 'ONEDNN_PRIMITIVE_CACHE_CAPACITY'
    code = f'import os, hrnas_mm; print(os.environ["{name}"])'
    for before, after in (({}, '16384'), ({name: '7'}, '7')):
        environment = {k: v for k, v in os.environ.items() if k != name}
        result = subprocess.run(
            [sys.executable, '-c', code],
            env={**environment, **before},
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.strip() == after


def test_torchvision_comes_after_hrnas_mm():
    if find_spec('torchvision') is None:
        pytest.skip('needs torchvision')
    code = 'import hrnas_mm, torchvision.transforms'
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
