"""The arrows of the design: who may import whom."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'hrnas_mm'
OPENMMLAB = {
    'mmcv',
    'mmengine',
    'mmseg',
    'mmpose',
    'mmdet',
    'mmdet3d',
    'mmpretrain',
}
FRAMEWORKS = OPENMMLAB - {'mmcv', 'mmengine'}
ABOVE = {
    'models', 'engine', 'visualization', 'deploy', 'registry', 'compat',
    'config',
}  # fmt: skip
FORBIDDEN = {
    'search': OPENMMLAB | ABOVE | {'modules'},
    'modules': OPENMMLAB | ABOVE,
    'visualization': (OPENMMLAB | ABOVE | {'modules'}) - {'visualization'},
    'models': FRAMEWORKS | {'engine', 'visualization', 'deploy'},
    'engine': FRAMEWORKS | {'modules', 'models', 'deploy'},
    'deploy': FRAMEWORKS | {'modules', 'models', 'visualization'},
}


def imported(path):
    """Top-level packages, and of hrnas_mm the layer, that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = (node.module or '').split('.')
            if node.level == 0 and parts[0] != 'hrnas_mm':
                yield parts[0]
            elif node.level == 0:
                yield from parts[1:2]
            elif node.level == len(path.relative_to(PACKAGE).parts):
                yield from (
                    parts if parts[0] else (alias.name for alias in node.names)
                )


@pytest.mark.parametrize('layer', FORBIDDEN)
def test_layer_imports_only_what_is_below(layer):
    for path in (PACKAGE / layer).rglob('*.py'):
        assert not set(imported(path)) & FORBIDDEN[layer], path


def test_modules_use_units_and_cost_of_search_only():
    for path in (PACKAGE / 'modules').rglob('*.py'):
        text = path.read_text()
        for part in ('shrink', 'penalty', 'architecture'):
            assert f'search.{part}' not in text, path


def test_no_framework_is_imported_with_the_package():
    for path in PACKAGE.rglob('*.py'):
        assert not set(imported(path)) & FRAMEWORKS, path
