"""The examples run, and do what they say."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from counting import counted

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def plain_loop() -> dict[str, Any]:
    torch.set_num_threads(1)
    return runpy.run_path(str(ROOT / 'examples/plain_loop.py'))


def test_plain_loop_meets_its_budget(plain_loop: dict[str, Any]) -> None:
    average = plain_loop['average'].module
    images = plain_loop['bars'] + torch.randn(64, 2, 3, 32, 32)
    with torch.no_grad():
        answers = average.eval()(images.flatten(0, 1)).view(64, 2, 2)
    right = answers.argmax(2) == torch.tensor([0, 1])
    assert right.float().mean() > 0.9
    budget = plain_loop['budget'].amount
    for network in (average, plain_loop['model']):
        assert 0.97 * budget <= counted(network, (3, 32, 32)) <= budget


def test_plain_loop_is_the_readmes() -> None:
    readme = (ROOT / 'README.md').read_text()
    (shown,) = re.findall(r'^average = .*?(?=```)', readme, re.M | re.S)
    assert shown in (ROOT / 'examples/plain_loop.py').read_text()
