"""The arrows of the design: no more than CONTRIBUTING.md's table has."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'hrnas_mm'
FRAMEWORKS = {'mmseg', 'mmpose', 'mmdet', 'mmdet3d', 'mmpretrain'}


def allowed() -> dict[str, tuple[set[str], ...]]:
    """What each room may import, rooms and packages, as the table says."""
    text = (ROOT / 'CONTRIBUTING.md').read_text()
    rows = re.findall(r'^\| `(\w+)` \|.*\|(.*)\|(.*)\|$', text, re.M)
    return {
        room: tuple(set(re.findall(r'`(\w+)`', cell)) for cell in cells)
        for room, *cells in rows
    }


ALLOWED = allowed()


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix('').parts
    return '.'.join(part for part in parts if part != '__init__')


FILES = {dotted(path): path for path in PACKAGE.rglob('*.py')}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix('').parts[0]


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield what a file imports, also for type hints: (module, name)."""
    package = path.relative_to(PACKAGE.parent).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, '') for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            depth = len(package) + 1 - node.level if node.level else 0
            above = package[:depth]
            module = '.'.join([*above, *filter(None, [node.module])])
            yield from ((module, alias.name) for alias in node.names)


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Rooms of hrnas_mm, and other packages, that a file imports."""
    for module, name in imports(path):
        package, *rest = module.split('.')
        if package == PACKAGE.name:
            yield package, (rest or [name])[0]
        else:
            yield '', package


def defining(module: str, name: str) -> str:
    """The file that a name is from, whatever packages pass it on."""
    if f'{module}.{name}' in FILES:
        return f'{module}.{name}'
    if FILES[module].name == '__init__.py':
        for source, passed_on in imports(FILES[module]):
            if passed_on == name and source in FILES:
                return defining(source, name)
    return module


def test_every_room_is_in_the_table() -> None:
    found = {room_of(path) for path in PACKAGE.rglob('*.py')}
    assert found - {'__init__', 'version'} == set(ALLOWED)


@pytest.mark.parametrize('room', ALLOWED)
def test_a_room_imports_what_the_table_says(room: str) -> None:
    rooms, packages = ALLOWED[room]
    used = set()
    for path in PACKAGE.rglob('*.py'):
        if room_of(path) != room:
            continue
        for package, name in imported(path):
            if package == PACKAGE.name:
                assert name in rooms | {room, 'version'}, path
                used.add(name)
            elif name not in sys.stdlib_module_names:
                assert name in packages, (path, name)
                used.add(name)
    # And the table says no more than there is.
    assert rooms | packages <= used


def test_no_arrow_points_up() -> None:
    """Each room stands below those that it imports: so there is no circle."""
    order = list(ALLOWED)
    for room, (rooms, packages) in ALLOWED.items():
        assert all(order.index(r) < order.index(room) for r in rooms), room
        assert not packages & FRAMEWORKS


@pytest.mark.parametrize('room', ALLOWED)
def test_no_circle_inside_a_room(room: str) -> None:
    """Between files, also of different folders."""
    assert_no_circle(arrows_of(room))


@pytest.mark.parametrize('room', ALLOWED)
def test_no_circle_between_the_folders_of_a_room(room: str) -> None:
    """A folder of files, and each of its subfolders."""
    folders: dict[Path, set[Path]] = {}
    for file, to in arrows_of(room).items():
        if FILES[file].name != '__init__.py':
            found = folders.setdefault(FILES[file].parent, set())
            found |= {FILES[other].parent for other in to}
    for folder, others in folders.items():
        others.discard(folder)
    assert_no_circle(folders)


def arrows_of(room: str) -> dict[str, set[str]]:
    """Which files of the package each file of a room imports."""
    return {
        file: {defining(*n) for n in imports(path) if n[0] in FILES} - {file}
        for file, path in FILES.items()
        if path != PACKAGE / '__init__.py' and room_of(path) == room
    }


def assert_no_circle(arrows: Mapping[Any, set[Any]]) -> None:
    arrows = dict(arrows)
    while arrows:
        free = [f for f, to in arrows.items() if not to & arrows.keys()]
        assert free, arrows
        for name in free:
            del arrows[name]


IMPORT = """
import sys
for name in ('mmcv._ext', 'mmcv.ops', *{frameworks}):
    sys.modules[name] = None
import hrnas_mm
from mmengine.registry import HOOKS, MODELS
assert 'HRNASSupernet' in MODELS
assert {{'ProgressiveShrinkHook', 'ExactResumeHook'}} <= set(HOOKS.module_dict)
"""


def test_importing_needs_no_framework_and_no_compiled_mmcv() -> None:
    code = IMPORT.format(frameworks=sorted(FRAMEWORKS))
    subprocess.run([sys.executable, '-c', code], check=True)


def test_the_child_registry_imports_by_itself() -> None:
    code = (
        'from mmengine.registry import HOOKS\n'
        "HOOKS.build(dict(type='hrnas_mm.ExactResumeHook'))\n"
        "shrinking = 'hrnas_mm.ProgressiveShrinkHook'\n"
        'HOOKS.build(dict(type=shrinking, interval=1, rho=0))'
    )
    subprocess.run([sys.executable, '-c', code], check=True)
