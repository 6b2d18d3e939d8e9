"""What the command lines do to a config."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from mmengine.config import Config

import hrnas_mm.cli.config
from hrnas_mm.check_files import check_data
from hrnas_mm.cli.config import (
    add_config_arguments,
    move_data_,
    prepare_config,
    read_config,
)
from hrnas_mm.frameworks import FRAMEWORKS, data_site

TEXT = """
data_root = 'data/a/'
data_help = 'Get it there.'
pipeline = [
    dict(type='Sample', database='data/a/db.pkl', other='data/ab/x'),
    dict(type='Several', files=['data/a/1', 'else/1'], nested=[('data/a/2',)]),
]
train_dataloader = dict(
    dataset=dict(
        data_root=data_root, ann_file='train.json', pipeline=pipeline))
val_dataloader = None
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / 'my_config.py'
    file.write_text(TEXT)
    return str(file)


def test_data_root_moves_everything_under_it(path: str) -> None:
    cfg = prepare_config(path, {'data_root': '/new/'})
    dataset = cfg.train_dataloader.dataset
    assert cfg.data_root == dataset.data_root == '/new/'
    assert dataset.ann_file == 'train.json'
    assert dataset.pipeline[0].database == '/new/db.pkl'
    assert dataset.pipeline[0].other == 'data/ab/x'
    assert dataset.pipeline[1].files == ['/new/1', 'else/1']
    assert dataset.pipeline[1].nested == [('/new/2',)]


@pytest.mark.parametrize(
    'text, options, message',
    [
        ('x = = 3', {}, 'my_config.py cannot be read: SyntaxError: '),
        ('x = y', {}, "my_config.py cannot be read: NameError: name 'y'"),
        (TEXT, {'pipeline.5.x': 3}, '--cfg-options cannot .* KeyError: .*5'),
        (TEXT, {'data_root': 3}, '--cfg-options cannot be applied: Attribute'),
    ],
)
def test_what_cannot_be_read(
    path: str, text: str, options: dict[str, Any], message: str
) -> None:
    Path(path).write_text(text)
    with pytest.raises(ValueError, match=message) as told:
        prepare_config(path, options)
    assert '\n' not in str(told.value)


def test_options(capsys: pytest.CaptureFixture[str]) -> None:
    parser = ArgumentParser()
    add_config_arguments(parser)
    options = ['root=my data/a', "name='a b'", 'sizes=[1, (2, x y)]', 'n=2']
    args = parser.parse_args(['config', '--cfg-options', *options])
    assert args.cfg_options == dict(
        root='my data/a', name='a b', sizes=[1, (2, 'xy')], n=2
    )
    for wrong in ('seed', 'sizes=[1,(2'):
        with pytest.raises(SystemExit):
            parser.parse_args(['config', '--cfg-options', 'n=2', wrong])
        told = capsys.readouterr().err
        assert '--cfg-options must be KEY=VALUE, with' in told
        assert told.endswith(f'got {wrong!r}\n')


def test_data_root_of_a_config_that_has_none(tmp_path: Path) -> None:
    file = tmp_path / 'config.py'
    file.write_text(
        "train_dataloader = dict(x=dict(dataset=dict(data_root='a/b')))\n"
        "val_dataloader = dict(dataset=dict(data_root='a/b', ann='a/b/c'))\n"
    )
    cfg = prepare_config(str(file), {'data_root': 'new'})
    assert cfg.train_dataloader.x.dataset.data_root == 'new'
    assert cfg.val_dataloader.dataset == dict(data_root='new', ann='new/c')


def test_other_options_still_win(path: str) -> None:
    cfg = prepare_config(
        path,
        {'data_root': '/new', 'train_dataloader.dataset.data_root': '/own'},
    )
    assert cfg.train_dataloader.dataset.data_root == '/own'


@pytest.mark.parametrize(
    'argument, in_file, expected',
    [
        (None, '', 'work_dirs/my_config'),
        (None, "work_dir = 'here'", 'here'),
        ('there', "work_dir = 'here'", 'there'),
    ],
)
def test_work_dir(
    tmp_path: Path, argument: str | None, in_file: str, expected: str
) -> None:
    file = tmp_path / 'my_config.py'
    file.write_text(in_file)
    assert prepare_config(str(file), None, argument).work_dir == expected


def test_missing_folder(tmp_path: Path, path: str) -> None:
    cfg = Config.fromfile(path)
    message = "data_root 'data/a/' does not exist. Get it there."
    with pytest.raises(FileNotFoundError, match=message):
        check_data(cfg, 'train_dataloader', 'val_dataloader')
    move_data_(cfg, cfg.data_root, str(tmp_path))
    with pytest.raises(FileNotFoundError, match='ann_file .*train.json'):
        check_data(cfg, 'train_dataloader')
    (tmp_path / 'train.json').touch()
    check_data(cfg, 'train_dataloader', 'val_dataloader', 'absent')


@pytest.mark.parametrize(
    'path, framework, command',
    [
        ('mmpose::x.py', 'mmpose', "'hrnas_mm.pose.' && pip .* mmpose=="),
        ('mmpretrain::x.py', 'mmpretrain', r"'hrnas_mm\[cls\]'"),
        ('mmdet::x.py', 'mmdet', r'hrnas_mm\[det\]'),
        ('scope', 'mmdet3d', r"'hrnas_mm\[det3d\]'"),
        ('base', 'mmseg', r"'hrnas_mm\[seg\]'"),
    ],
)
def test_a_framework_that_is_missing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    framework: str,
    command: str,
) -> None:
    def without(name: str) -> Any:
        return None if name == framework else find_spec(name)

    monkeypatch.setattr(hrnas_mm.cli.config, 'find_spec', without)
    if path == 'base':  # as mmengine puts it
        error = ModuleNotFoundError(f'{framework} is not installed')
        monkeypatch.setattr(Config, 'fromfile', Mock(side_effect=error))
    if '::' not in path:
        file = tmp_path / 'config.py'
        file.write_text(f'default_scope = {framework!r}')
        path = str(file)
    message = f'{path} needs {framework}, which is not installed: .*{command}'
    with pytest.raises(ModuleNotFoundError, match=message):
        prepare_config(path)


@pytest.mark.parametrize('framework', ['mmpretrain', 'mmpose'])
def test_torchvision_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, framework: str
) -> None:
    monkeypatch.setattr(
        hrnas_mm.cli.config, 'find_spec', lambda n: n != 'torchvision' or None
    )
    file = tmp_path / 'config.py'
    file.write_text(f'default_scope = {framework!r}')
    message = 'needs torchvision, which .*: pip install .* torchvision==0'
    with pytest.raises(ModuleNotFoundError, match=message):
        prepare_config(str(file))


@pytest.fixture
def config_with_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    monkeypatch.setattr(sys, 'path', [*sys.path])
    file = tmp_path / 'config.py'
    file.write_text("custom_imports = dict(imports=['beside_it'])")
    yield str(file)
    sys.modules.pop('beside_it', None)


def test_custom_imports_beside_the_config(config_with_module: str) -> None:
    module = Path(config_with_module).with_name('beside_it.py')
    module.write_text('here = True')
    prepare_config(config_with_module)
    prepare_config(config_with_module)
    assert sys.modules['beside_it'].here
    assert sys.path.count(str(module.parent)) == 1
    assert sys.path[-1] == str(module.parent)


@pytest.mark.parametrize(
    'code, reason',
    [
        (None, "No module named 'beside_it'"),
        ('import nowhere', "No module named 'nowhere'"),
        ('from os import nothing', "cannot import name 'nothing' from 'os'"),
    ],
)
def test_custom_imports_that_fail(
    config_with_module: str,
    capsys: pytest.CaptureFixture[str],
    code: str | None,
    reason: str,
) -> None:
    if code:
        Path(config_with_module).with_name('beside_it.py').write_text(code)
    args = Namespace(config=config_with_module, cfg_options=None)
    with pytest.raises(SystemExit, match='^2$'):
        read_config(args)
    message = capsys.readouterr().err
    assert message.startswith(f'error: custom_imports of {args.config} must ')
    assert f'got beside_it: {reason}' in message
    assert message.count('\n') == 1


def test_a_config_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    args = Namespace(config='nowhere.py', cfg_options=None)
    with pytest.raises(SystemExit, match='^2$'):
        read_config(args)
    assert 'nowhere.py' in capsys.readouterr().err


SITES = [kind for f in FRAMEWORKS.values() for kind in f.data]


@pytest.mark.parametrize('kind', [*SITES, 'mmseg.CityscapesDataset'])
def test_missing_data_of_a_benchmark(kind: str) -> None:
    dataset = dict(type=kind, data_root='nowhere')
    cfg = Config(dict(train_dataloader=dict(dataset=dict(dataset=dataset))))
    layout = data_site(kind).layout
    message = rf"'nowhere' does not .*make_demo_data.py {layout} nowhere\."
    with pytest.raises(FileNotFoundError, match=message):
        check_data(cfg, 'train_dataloader')


class CityscapesDataset:
    """A class where a name usually stands, as in configs of pure Python."""

    def __init__(self, img_suffix: str = '.png') -> None:
        pass


def test_data_of_a_dataset_that_is_named_by_its_class(tmp_path: Path) -> None:
    dataset = dict(
        type=CityscapesDataset,
        data_root='nowhere',
        data_prefix=dict(img_path='', seg_map_path=None),
    )
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    with pytest.raises(FileNotFoundError, match='make_demo_data.py cityscap'):
        check_data(cfg, 'train_dataloader')
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    (tmp_path / 'a.jpg').touch()
    with pytest.raises(FileNotFoundError, match='no file that ends in .*png'):
        check_data(cfg, 'train_dataloader')
    (tmp_path / 'a.png').touch()
    check_data(cfg, 'train_dataloader')


def test_data_that_is_elsewhere_is_not_looked_for() -> None:
    dataset = dict(type='CityscapesDataset', data_root='s3://bucket/data')
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    check_data(cfg, 'train_dataloader')
