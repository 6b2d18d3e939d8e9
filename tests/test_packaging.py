"""What a wheel holds, and what mim finds in it."""

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

ROOT = Path(__file__).parents[1]
DEMO = 'hrnas_demo_1xb8-300_cityscapes-128x256'
SHIPPED = [
    path.relative_to(ROOT)
    for folder in ('configs', 'tools')
    for path in (ROOT / folder).rglob('*')
    if path.is_file() and '__pycache__' not in path.parts
]


def checked(*args: object, cwd: Path = ROOT, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1', **environment},
    )
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel from a source distribution, as a package index has them."""
    folder = tmp_path_factory.mktemp('dist')
    # In a copy: builds leave files behind.
    source = folder / 'source'
    for path in (*SHIPPED, *(p.relative_to(ROOT) for p in sources())):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes((ROOT / path).read_bytes())
    checked(
        '-c',
        'from setuptools import build_meta; '
        f'build_meta.build_sdist({str(folder)!r})',
        cwd=source,
    )
    (sdist,) = folder.glob('*.tar.gz')
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / 'unpacked')
    (unpacked,) = (folder / 'unpacked').iterdir()
    options = ('--no-deps', '--no-build-isolation', '-q', '-w', folder)
    checked('-m', 'pip', 'wheel', unpacked, *options)
    (found,) = folder.glob('*.whl')
    return found


def sources() -> Iterator[Path]:
    yield from (
        path
        for pattern in ('*.py', '*.toml', '*.in', '*.md', '*.yml', 'LICENSE')
        for path in ROOT.glob(pattern)
    )
    for folder in ('hrnas_mm', 'requirements'):
        for path in (ROOT / folder).rglob('*'):
            if path.suffix in ('.py', '.typed', '.txt', '.j2'):
                yield path


def test_wheel_holds_the_package_and_what_mim_runs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert 'hrnas_mm/py.typed' in names
    assert 'hrnas_mm/search/shrink.py' in names
    assert 'hrnas_mm/report/page.html.j2' in names
    assert 'hrnas_mm/.mim/tools/starter/templates/keypoints.py.j2' in names
    assert 'hrnas_mm/.mim/model-index.yml' in names
    for path in SHIPPED:
        assert f'hrnas_mm/.mim/{path.as_posix()}' in names, path
    assert not any('__pycache__' in name for name in names)
    assert not any(name.startswith('tests') for name in names)


def test_extras_are_the_requirements_files(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith('/METADATA'))
    metadata = archive.read(name).decode()
    for extra, package in dict(
        seg='mmsegmentation==', det='mmdet==', pose='xtcocotools',
        det3d='numba', cls='mmpretrain==', timm='safetensors',
        deploy='onnxscript',
        openvino='openvino',
        onedl_seg='onedl-mmsegmentation==', onedl_det='onedl-mmdetection==',
        onedl_cls='onedl-mmpretrain==',
    ).items():  # fmt: skip
        extra = extra.replace('_', '-')
        assert f'Provides-Extra: {extra}' in metadata
        lines = [
            line
            for line in metadata.splitlines()
            if line.startswith(f'Requires-Dist: {package}')
        ]
        assert any(f'extra == "{extra}"' in line for line in lines), lines


def test_extras_keep_to_the_versions_of_the_set_up() -> None:
    """Those that want numpy 1 want the last opencv of numpy 1, too."""
    folder = ROOT / 'requirements'
    pin = next(
        line.split('#')[0].strip()
        for line in (folder / 'mmcv.txt').read_text().splitlines()
        if line.startswith('opencv-python')
    )
    extras = [
        text
        for path in folder.glob('*.txt')
        if 'numpy<2' in (text := path.read_text())
    ]
    assert len(extras) == 5 and all(pin in text for text in extras)


def test_metafiles_name_every_config_and_its_budget() -> None:
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    found = {}
    for path in index['Import']:
        metafile = yaml.safe_load((ROOT / path).read_text())
        (collection,) = metafile['Collections']
        assert (ROOT / collection['README']).exists()
        for model in metafile['Models']:
            assert model['In Collection'] == collection['Name']
            assert model['Name'] == Path(model['Config']).stem
            found[model['Config']] = model['Metadata']
    assert sorted(found) == sorted(
        str(path.relative_to(ROOT))
        for path in ROOT.glob('configs/mm*/**/*.py')
    )
    for path, metadata in found.items():
        framework = path.split('/')[1]
        if 'FLOPs' not in metadata or find_spec(framework) is None:
            continue
        hooks = Config.fromfile(str(ROOT / path)).custom_hooks
        (target,) = (h['target'] for h in hooks if 'target' in h)
        suffixes = dict(M=1e6, G=1e9)
        amount = float(target[:-1]) * suffixes[target[-1]]
        assert metadata['FLOPs'] == round(amount)


@pytest.fixture(scope='module')
def mim(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., str]:
    """Run mim on the wheel, as it is installed."""
    pytest.importorskip('mim')
    target = tmp_path_factory.mktemp('site')
    options = ('--no-deps', '-q', '--target', target)
    checked('-m', 'pip', 'install', *options, wheel)

    def run(*args: object, cwd: Path = target) -> str:
        return checked('-m', 'mim', *args, cwd=cwd, PYTHONPATH=str(target))

    return run


def test_tools_of_an_installed_package(wheel: Path, tmp_path: Path) -> None:
    """By ``python -m hrnas_mm``, in any folder."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    run = partial(checked, '-m', 'hrnas_mm', cwd=tmp_path)
    listed = run(PYTHONPATH=str(tmp_path))
    for path in (ROOT / 'tools').glob('*.py'):
        assert f'  {path.stem} ' in listed
    few = ('--train', 10, '--val', 10)
    run('make_demo_data', 'imagenet', 'in', *few, PYTHONPATH=str(tmp_path))
    assert (tmp_path / 'in').is_dir()


def test_mim_search(mim: Callable[..., str]) -> None:
    found = mim('search', 'hrnas_mm')
    for path in ROOT.glob('configs/mm*/**/*.py'):
        assert f'config id: {path.stem}' in found
    found = mim('search', 'hrnas_mm', '--config', DEMO)
    assert found.count('config id') == 1 and 'generated' in found


def test_mim_runs_a_tool(mim: Callable[..., str], tmp_path: Path) -> None:
    """By its name, in a folder that has nothing of the project."""
    few = ('--train', 10, '--val', 10)
    mim(
        'run', 'hrnas_mm', 'make_demo_data', 'imagenet', 'data', *few,
        cwd=tmp_path,
    )  # fmt: skip
    assert len(list(tmp_path.rglob('data/**/*.JPEG'))) == 20
