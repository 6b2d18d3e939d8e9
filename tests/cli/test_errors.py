"""Errors as command lines show them."""

import sys
from importlib import import_module
from pathlib import Path

import pytest
from mmengine.registry import Registry

from hrnas_mm import __main__
from hrnas_mm.cli.errors import check_new, clear_errors
from hrnas_mm.modules.mixconv import check_kernel_sizes

CALLS = Registry('call')


@CALLS.register_module()
def ours() -> None:
    check_kernel_sizes([2])


@CALLS.register_module()
def theirs() -> None:
    int('many')


@pytest.mark.parametrize('through_registry', [False, True])
def test_our_error_is_one_line(
    capsys: pytest.CaptureFixture[str], through_registry: bool
) -> None:
    with pytest.raises(SystemExit, match='^2$'), clear_errors():
        CALLS.build(dict(type='ours')) if through_registry else ours()
    message = capsys.readouterr().err
    assert message.startswith('error: ') and message.count('\n') == 1
    assert 'kernel_sizes must be odd' in message


@pytest.mark.parametrize('module', ['nowhere', 'theirs'])
def test_an_import_that_fails_is_one_line(
    module: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever imports, wherever in a tool, and whatever the message."""
    (tmp_path / 'theirs.py').write_text("raise ImportError('in\\n two')")
    (tmp_path / 'framework.py').write_text(f'import {module}')
    monkeypatch.syspath_prepend(tmp_path)
    with (
        pytest.raises(SystemExit, match='^2$'),
        clear_errors(user_errors=()),
    ):
        import_module('framework')
    assert capsys.readouterr().err in (
        "error: No module named 'nowhere' (imported by framework)\n",
        'error: in two (imported by theirs)\n',
    )
    tool = tmp_path / 'tool.py'
    tool.write_text(f'import {module}')
    monkeypatch.setattr(__main__, 'tools', lambda: dict(tool=tool))
    monkeypatch.setattr(sys, 'argv', ['hrnas_mm', 'tool'])
    monkeypatch.setattr(sys, 'path', [*sys.path])
    with pytest.raises(SystemExit, match='^2$'):
        __main__.main()
    message = capsys.readouterr().err
    assert message.startswith('error: tool: ') and message.count('\n') == 1


def test_an_error_of_others_keeps_its_trace() -> None:
    with pytest.raises(ValueError, match='invalid literal'), clear_errors():
        CALLS.build(dict(type='theirs'))


def test_a_file_is_overwritten_by_force_only(tmp_path: Path) -> None:
    path = tmp_path / 'out.json'
    check_new(str(path), force=False)
    path.touch()
    with pytest.raises(FileExistsError, match='out.json exists; --force'):
        check_new(str(path), force=False)
    check_new(str(path), force=True)
    with pytest.raises(IsADirectoryError, match='is a folder'):
        check_new(str(tmp_path), force=True)
    with pytest.raises(PermissionError, match='/proc must be a folder that'):
        check_new('/proc/out.json', force=False)
    assert [*tmp_path.iterdir()] == [path]
    with pytest.raises(FileNotFoundError, match='nowhere'):
        check_new(str(tmp_path / 'nowhere' / 'out.json'), force=True)
