"""Clear errors on the command line, and no files overwritten by mistake."""

import linecache
import os.path as osp
import sys
import traceback
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from types import FrameType


@contextmanager
def clear_errors(
    user_errors: tuple[type[Exception], ...] = (OSError,),
) -> Iterator[None]:
    """Turn a user's mistake into a message of one line and exit code 2.

    Those are the errors that this package raises on purpose, and imports that
    fail; any other error keeps its traceback.

    Args:
        user_errors: Types that are the user's mistake even if another
            package raises them.
    """
    try:
        yield
    except Exception as error:
        text = str(error)
        if isinstance(error, ImportError):
            text = _of_import(error)
        elif not isinstance(error, user_errors) and not is_ours(error):
            raise
        print(f'error: {text}', file=sys.stderr)
        raise SystemExit(2) from error


def _of_import(error: ImportError) -> str:
    """Return a message of one line; who imports, if the error is not ours."""
    text = ' '.join(str(error).split())
    if is_ours(error):
        return text
    names = [
        frame.f_globals.get('__name__', '')
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    importers = [n for n in names if not n.startswith('importlib')]
    return f'{text} (imported by {importers[-1]})' if importers else text


def in_a_line(error: Exception) -> str:
    """Return an error in one line; for a bare assertion, its source line."""
    text = str(error).strip()
    if not text:
        frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
        text = linecache.getline(frame.f_code.co_filename, line).strip()
    return f'{type(error).__name__}: {text.splitlines()[0][:300]}'


def is_ours(error: BaseException | None) -> bool:
    """Return whether an error comes from a ``raise`` of ours, or of a tool.

    Registries raise errors anew, so their contexts are searched as well.
    """
    while error is not None:
        # The last frame; an error that was never raised has none.
        for frame, line in list(traceback.walk_tb(error.__traceback__))[-1:]:
            path = frame.f_code.co_filename
            raised = linecache.getline(path, line).lstrip()
            if raised.startswith('raise ') and _is_own(frame):
                return True
        error = error.__context__
    return False


def _is_own(frame: FrameType) -> bool:
    """Return whether a frame is in this package, in a tool or beside it."""
    module = frame.f_globals.get('__name__', '').split('.')[0]
    tools = osp.dirname(osp.abspath(sys.argv[0]))
    folder = osp.dirname(osp.abspath(frame.f_code.co_filename))
    return module in ('hrnas_mm', '__main__') or (osp.dirname(folder) == tools)


def add_force(parser: ArgumentParser) -> None:
    """Add ``--force``, without which no file is overwritten."""
    parser.add_argument(
        '--force', action='store_true', help='overwrite an existing file'
    )


def check_new(path: str, force: bool) -> None:
    """Check that a file may be written, before the work is done.

    Raises:
        FileExistsError: If the file exists and may not be overwritten.
        FileNotFoundError: If its folder does not exist.
        IsADirectoryError: If it is a folder.
        PermissionError: If no file can be made there.
    """
    if osp.isdir(path):
        raise IsADirectoryError(f'{path} is a folder; give a file')
    if osp.exists(path) and not force:
        raise FileExistsError(f'{path} exists; --force overwrites it')
    folder = osp.dirname(osp.abspath(path))
    if not osp.isdir(folder):
        raise FileNotFoundError(f'{folder} does not exist, for {path}')
    try:
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise PermissionError(
            f'{folder} must be a folder that can be written to: {error}'
        ) from error
