"""The environment, as ``python -m hrnas_mm env`` prints it."""

import os
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import pytest
import torch
from command_line import checked
from mmengine.config.utils import MODULE2PACKAGE

import hrnas_mm
from hrnas_mm.__main__ import usage
from hrnas_mm.frameworks import FRAMEWORKS
from hrnas_mm.spelling import counted


@pytest.fixture(scope='module')
def printed() -> list[str]:
    return checked('tools/env.py').splitlines()


def version(module: str) -> str | None:
    """Return the version of OpenMMLab's package, or of the fork's."""
    for name in (MODULE2PACKAGE.get(module, module), f'onedl-{module}'):
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return None


@pytest.mark.parametrize(
    'module', ('mmcv', *FRAMEWORKS, 'onnx', 'onnxscript', 'openvino', 'scipy')
)
def test_packages(printed: list[str], module: str) -> None:
    label = f'{module}: '
    found = [line.split()[1] for line in printed if line.startswith(label)]
    expected = version(module)
    assert found == ([expected] if expected else [])


def test_machine(printed: list[str]) -> None:
    assert f'hrnas_mm: {hrnas_mm.__version__}' in printed
    assert f'PyTorch: {torch.__version__}' in printed
    (threads,) = (x for x in printed if x.startswith('threads: '))
    assert 1 <= int(threads.split()[1]) <= (os.cpu_count() or 1)


def test_tools_are_listed_in_the_order_of_their_use() -> None:
    lines = [line.split() for line in usage().splitlines() if line[:2] == '  ']
    names = [name for name, *_ in lines]
    steps = ('new_search', 'train', 'test', 'export_onnx', 'benchmark')
    assert [name for name in names if name in steps] == list(steps)
    files = Path(hrnas_mm.__file__).parents[1].glob('tools/*.py')
    assert sorted(names) == sorted(path.stem for path in files)


def test_plurals() -> None:
    nouns = ('image', 'class', 'process', 'box', 'batch')
    assert [counted(1, noun) for noun in nouns] == [f'1 {n}' for n in nouns]
    assert [counted(2, noun) for noun in nouns] == [
        '2 images', '2 classes', '2 processes', '2 boxes', '2 batches',
    ]  # fmt: skip
