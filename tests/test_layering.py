"""The arrows of the design: no more than CONTRIBUTING.md's table has."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'hrnas_mm'
FRAMEWORKS = {'mmseg', 'mmpose', 'mmdet', 'mmdet3d', 'mmpretrain'}


def allowed():
    """What each room may import, rooms and packages, as the table says."""
    text = (ROOT / 'CONTRIBUTING.md').read_text()
    rows = re.findall(r'^\| `(\w+)` \|.*\|(.*)\|(.*)\|$', text, re.M)
    return {
        room: tuple(set(re.findall(r'`(\w+)`', cell)) for cell in cells)
        for room, *cells in rows
    }


ALLOWED = allowed()


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix('').parts[0]


def imported(path):
    """Rooms of hrnas_mm, and other packages, that a file imports."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (('', a.name.split('.')[0]) for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == depth:
            # from .. import room, or from ..room.file import name
            names = [node.module] if node.module else []
            names = names or [alias.name for alias in node.names]
            yield from (('hrnas_mm', name.split('.')[0]) for name in names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            package, *rest = node.module.split('.')
            yield (
                ('hrnas_mm', rest[0])
                if rest and package == 'hrnas_mm'
                else (
                    '',
                    package,
                )
            )


def test_every_room_is_in_the_table():
    found = {room_of(path) for path in PACKAGE.rglob('*.py')}
    assert found - {'__init__', 'version'} == set(ALLOWED)


@pytest.mark.parametrize('room', ALLOWED)
def test_a_room_imports_what_the_table_says(room):
    rooms, packages = ALLOWED[room]
    used = set()
    for path in PACKAGE.rglob('*.py'):
        if room_of(path) != room:
            continue
        for package, name in imported(path):
            if package == 'hrnas_mm':
                assert name in rooms | {room, 'version'}, path
                used.add(name)
            elif name not in sys.stdlib_module_names:
                assert name in packages, (path, name)
                used.add(name)
    # And the table says no more than there is.
    assert rooms | packages <= used


def test_no_arrow_points_up():
    """Each room stands below those that it imports: so there is no circle."""
    order = list(ALLOWED)
    for room, (rooms, packages) in ALLOWED.items():
        assert all(order.index(r) < order.index(room) for r in rooms), room
        assert not packages & FRAMEWORKS


def test_no_circle_inside_a_room():
    """Between files, type hints included."""
    for folder in {path.parent for path in PACKAGE.rglob('*.py')}:
        arrows = {path.stem: siblings(path) for path in folder.glob('*.py')}
        arrows.pop('__init__', None)
        while arrows:
            free = [f for f, to in arrows.items() if not to & arrows.keys()]
            assert free, (folder, arrows)
            for name in free:
                del arrows[name]


def siblings(path):
    return {
        name.split('.')[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for name in ([node.module] if node.module else [])
    }


IMPORT = """
import sys
for name in ('mmcv._ext', 'mmcv.ops', *{frameworks}):
    sys.modules[name] = None
import hrnas_mm
from mmengine.registry import HOOKS, MODELS
assert 'HRNASSupernet' in MODELS
assert {{'ProgressiveShrinkHook', 'ExactResumeHook'}} <= set(HOOKS.module_dict)
"""


def test_importing_needs_no_framework_and_no_compiled_mmcv():
    code = IMPORT.format(frameworks=sorted(FRAMEWORKS))
    subprocess.run([sys.executable, '-c', code], check=True)


@pytest.mark.parametrize(
    'hook', ["'ProgressiveShrinkHook', interval=1, rho=0", "'ExactResumeHook'"]
)
def test_the_child_registry_imports_by_itself(hook):
    hook = hook.replace("'", "'hrnas_mm.", 1)
    code = (
        f'from mmengine.registry import HOOKS; HOOKS.build(dict(type={hook}))'
    )
    subprocess.run([sys.executable, '-c', code], check=True)
