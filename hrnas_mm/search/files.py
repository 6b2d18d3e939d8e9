"""Files that are never half written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def replacing(path: str) -> Iterator[str]:
    """Yield a name to write to; the file takes the place of ``path`` after.

    If writing fails, or the process is killed in the middle of it, what
    ``path`` was before is still there.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, '.tmp_' + name)
    try:
        yield temporary
        with open(temporary, 'rb') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.remove(temporary)
        raise
