"""Only one process trains into a folder, and nothing else is lost by it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
from mmengine.runner import Runner

from hrnas_mm.resume.lock import lock_, unlock_


def in_a_fork(function: Callable[[], object]) -> int:
    """Return 0 if a function returns in a forked process, 1 if it raises."""
    process = os.fork()
    if not process:
        code = 1
        try:
            function()
            code = 0
        except RuntimeError:
            pass
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_reading_the_lock_does_not_release_it(tmp_path: Path) -> None:
    """As a hook does that copies the work_dir."""
    folder = str(tmp_path)
    lock_(folder)
    assert f'process {os.getpid()} on' in (tmp_path / '.lock').read_text()
    lock_(folder)  # a second run in this process
    assert in_a_fork(lambda: lock_(folder)) == 1
    unlock_(folder)
    assert in_a_fork(lambda: lock_(folder)) == 0


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    """And not with the dataloader workers that outlive it."""
    ends, waits = os.pipe(), os.pipe()

    def train() -> None:
        lock_(str(tmp_path))
        if not os.fork():  # a worker
            os.close(ends[0])
            os.write(ends[1], b'x')
            os.read(waits[0], 1)
            os._exit(0)

    assert in_a_fork(train) == 0
    os.read(ends[0], 1)
    lock_(str(tmp_path))
    unlock_(str(tmp_path))
    os.write(waits[1], b'x')


@pytest.mark.parametrize('kind', ['link', 'dangling', 'hard', 'own', 'fifo'])
def test_what_is_no_lock_stays_as_it_is(kind: str, tmp_path: Path) -> None:
    diary = tmp_path / 'diary.txt'
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    lock = work_dir / '.lock'
    if kind != 'dangling':
        diary.write_text('dear diary')
    if kind == 'hard':
        lock.hardlink_to(diary)
    elif kind == 'own':
        lock.write_text('dear diary')
    elif kind == 'fifo':
        os.mkfifo(lock)
    else:
        lock.symlink_to(diary)
    with pytest.raises(ValueError, match='run/.lock must be a file that a'):
        Runner.from_cfg(tiny.config(work_dir)).train()
    if kind == 'dangling':
        assert not diary.exists()
    else:
        assert diary.read_text() == 'dear diary'
    if kind == 'own':
        assert lock.read_text() == 'dear diary'


@pytest.mark.parametrize('code', ['ENOSYS', 'ENOLCK', 'EOPNOTSUPP', 'EINVAL'])
def test_a_file_system_without_locks(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise OSError(getattr(errno, code), 'not here')

    monkeypatch.setattr('fcntl.flock', refuse)
    monkeypatch.setattr('fcntl.lockf', refuse)
    cfg = tiny.config(tmp_path, max_iters=1)
    cfg.log_level = 'INFO'
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 1
    [log] = tmp_path.rglob('*.log')
    assert f'{tmp_path} cannot be locked' in log.read_text()
