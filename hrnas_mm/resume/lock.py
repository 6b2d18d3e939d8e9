"""Locks on folders that only one process may train into."""

import os
import os.path as osp
import socket
from contextlib import suppress
from typing import IO

from ..files import TEMPORARY

try:
    import fcntl
except ImportError:  # on Windows, where nothing is locked
    fcntl = None  # type: ignore[assignment]

LOCK = '.lock'
# Open files hold the locks. The locks belong to the process, whatever its
# number of runners, and end with it; those of flock() would live on in
# orphaned dataloader workers.
_held: dict[tuple[int, int, int], IO[str]] = {}


def lock_(folder: str) -> None:
    """Lock a folder against training by other processes.

    The lock ends with this process or with :func:`unlock_`.

    Raises:
        RuntimeError: If another process has the lock; the message names it.
    """
    path = osp.join(folder, LOCK)
    # Opening the file again and closing it would release the lock.
    if fcntl is None or (osp.exists(path) and _key(path) in _held):
        return
    file = open(path, 'a+')  # noqa: SIM115  (it stays open)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip()
        file.close()
        raise RuntimeError(
            f'work_dir {folder} is in use by {owner}: end it, or give this '
            'run another --work-dir'
        ) from None
    file.truncate(0)
    file.write(f'process {os.getpid()} on {socket.gethostname()}\n')
    file.flush()
    _held[_key(path)] = file


def unlock_(folder: str) -> None:
    """Unlock a folder, if this process has locked it."""
    path = osp.join(folder, LOCK)
    if osp.exists(path) and _key(path) in _held:
        _held.pop(_key(path)).close()


def _key(path: str) -> tuple[int, int, int]:
    stat = os.stat(path)
    return os.getpid(), stat.st_dev, stat.st_ino


def remove_leftovers_(folder: str) -> None:
    """Remove the half-written files of killed processes from a folder.

    Subfolders are searched too, except those that have a lock of their own.
    """
    for root, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not osp.exists(osp.join(root, name, LOCK))
        ]
        for name in names:
            if name.startswith(TEMPORARY):
                with suppress(OSError):
                    os.remove(osp.join(root, name))
