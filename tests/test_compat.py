"""Each work-around does what it is for."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from hrnas_mm.compat_torch import enlarge_onednn_cache


def test_a_cache_size_that_the_user_set_stays(monkeypatch):
    name = 'ONEDNN_PRIMITIVE_CACHE_CAPACITY'
    assert os.environ[name] == '16384'  # since hrnas_mm was imported
    monkeypatch.setenv(name, '7')
    enlarge_onednn_cache()
    assert os.environ[name] == '7'


def test_torchvision_comes_after_hrnas_mm():
    if find_spec('torchvision') is None:
        pytest.skip('needs torchvision')
    code = 'import hrnas_mm, torchvision.transforms'
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
