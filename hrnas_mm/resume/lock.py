"""Locks on folders that only one process may train into."""

import errno
import logging
import os
import os.path as osp
import socket
import stat
from contextlib import suppress

from mmengine.logging import print_log

try:
    import fcntl
except ImportError:  # on Windows, where nothing is locked
    fcntl = None  # type: ignore[assignment]

LOCK = '.lock'
# The file descriptors that hold the locks. Those of lockf() would be lost as
# soon as anybody in this process, such as a hook that copies the work_dir,
# opened the file and closed it.
_held: dict[tuple[int, int], int] = {}


def _let_go() -> None:
    """Close the descriptors in a forked process.

    Otherwise the locks of flock() would live on in orphaned dataloader
    workers.
    """
    for descriptor in _held.values():
        os.close(descriptor)
    _held.clear()


if fcntl is not None:
    os.register_at_fork(after_in_child=_let_go)


def lock_(folder: str) -> None:
    """Lock a folder against training by other processes.

    The lock ends with this process or with :func:`unlock_`. Where the file
    system has no locks, a warning is logged.

    Raises:
        RuntimeError: If another process has the lock; the message names it.
        ValueError: If the file of the lock is not one.
    """
    path = osp.join(folder, LOCK)
    if fcntl is None or _key(path) in _held:
        return
    descriptor, owner = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise RuntimeError(
                f'work_dir {folder} is in use by {owner or "another process"}'
                ': end it, or give this run another --work-dir'
            ) from None
        print_log(
            f'{folder} cannot be locked ({error}): take care that no other '
            'process trains into it',
            'current',
            logging.WARNING,
        )
        return
    owner = f'process {os.getpid()} on {socket.gethostname()}\n'
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, owner.encode(), 0)
    _held[_key(path)] = descriptor


def _open(path: str) -> tuple[int, str]:
    """Return a descriptor of the file of a lock, and whose it is.

    Raises:
        ValueError: If something else is there, which would be overwritten.
    """
    kind = 'a link'
    if not osp.islink(path):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o666)
        kind = 'no regular file'
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            owner = os.read(descriptor, 500).decode(errors='replace').strip()
            if not owner or owner.startswith('process '):
                return descriptor, owner
            kind = f'a file with {owner[:30]!r}'
        os.close(descriptor)
    raise ValueError(
        f'{path} must be a file that a run has written, got {kind}: move it '
        'away, or give this run another --work-dir'
    )


def unlock_(folder: str) -> None:
    """Unlock a folder, if this process has locked it."""
    key = _key(osp.join(folder, LOCK))
    if key in _held:
        os.close(_held.pop(key))


def _key(path: str) -> tuple[int, int]:
    """Return what identifies a file, whatever the path to it."""
    with suppress(OSError):
        found = os.lstat(path)
        return found.st_dev, found.st_ino
    return 0, 0
