"""Reading configs on the command line."""

import os.path as osp
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.hub import get_config

from ..frameworks import FRAMEWORKS
from ..modules.deployed import FUSE
from ..nested import nested_dicts
from .errors import clear_errors, in_a_line


def prepare_config(
    path: str,
    options: dict[str, Any] | None = None,
    work_dir: str | None = None,
) -> Config:
    """Read a config and apply what the command line overrides.

    Args:
        path: Config file, or a config of a framework: 'mmseg::hrnet/....py'.
        options: Options of ``--cfg-options``. ``data_root`` moves every data
            set that is under the config's ``data_root``, or under that of its
            training data.
        work_dir: Folder of ``--work-dir``; None for that of the config, or
            ``work_dirs/<name of the config>`` if it has none.

    Raises:
        ImportError: If the config needs a framework that is not installed;
            the message says how to install it. Or if one of its
            ``custom_imports`` is neither installed nor beside the config.
    """
    cfg = _read(path)
    options = dict(options or {})
    old = data_root_of(cfg)
    with _in_a_line('--cfg-options cannot be applied'):
        if 'data_root' in options and old:
            move_data_(cfg, old, options['data_root'])
        cfg.merge_from_dict(options)
    name = osp.splitext(osp.basename(path))[0]
    cfg.work_dir = (
        work_dir or cfg.get('work_dir') or osp.join('work_dirs', name)
    )
    return cfg


def _read(path: str) -> Config:
    framework = path.split('::')[0] if '::' in path else ''
    if framework and framework not in FRAMEWORKS:
        raise ValueError(
            f'{path} must begin with one of {", ".join(FRAMEWORKS)}, got '
            f'{framework!r}'
        )
    _check_installed(path, framework)
    if not framework:
        _make_importable_(osp.dirname(osp.abspath(path)))
    try:
        with _in_a_line(f'{path} cannot be read'):
            cfg = get_config(path) if framework else Config.fromfile(path)
    except ImportError as error:  # of a _base_, or of custom_imports
        missing = [name for name in FRAMEWORKS if str(error).startswith(name)]
        _check_installed(path, *missing)
        _check_custom_imports(path, error)
        raise
    _check_installed(path, cfg.get('default_scope'))
    return cfg


@contextmanager
def _in_a_line(what: str) -> Iterator[None]:
    """Raise ValueError, which says what failed, for errors of mmengine."""
    try:
        yield
    except (ImportError, OSError):
        raise
    except Exception as error:
        raise ValueError(f'{what}: {in_a_line(error)}') from error


def _make_importable_(folder: str) -> None:
    """Let ``custom_imports`` name modules in a folder.

    It comes last: no file beside a config may take a package's place.
    """
    if folder not in map(osp.abspath, sys.path):
        sys.path.append(folder)


def _check_custom_imports(path: str, error: ImportError) -> None:
    """Raise an error of one line if one of mmengine is of custom_imports."""
    failed = error.__cause__
    if 'custom modules' not in str(error) or failed is None:
        return
    module = str(failed).removeprefix('Failed to import ')
    _check_installed(path, module.split('.')[0])
    raise ImportError(
        f'custom_imports of {path} must be modules that are installed or '
        f'beside the config, got {module}: {failed.__context__}'
    ) from error


def _check_installed(path: str, *frameworks: str) -> None:
    for framework in filter(FRAMEWORKS.__contains__, frameworks):
        row = FRAMEWORKS[framework]
        packages = {framework: row.install, **row.imports}
        for package, command in packages.items():
            if find_spec(package) is None:
                raise ModuleNotFoundError(
                    f'{path} needs {package}, which is not installed: '
                    f'{command}'
                )


class _Options(DictAction):
    """Options of a config as KEY=VALUE; blanks in texts, as of paths, stay."""

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        text = val.strip('\'"')
        if ' ' in text and not set(text) & set('()[],'):
            return text
        return DictAction._parse_iterable(val)

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Read the options, or exit with an error that names one."""
        for text in values:
            try:
                super().__call__(parser, namespace, [text])
            except (AssertionError, ValueError):
                parser.error(
                    '--cfg-options must be KEY=VALUE, with a bracket for each '
                    f'that opens, got {text!r}'
                )


def add_config_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of all command lines that read a config."""
    parser.add_argument('config', help='config file, such as that of a search')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_Options,
        help='key=value pairs that override the config; data_root=... moves '
        'every data set that is under the data_root of the config',
    )


def add_shape_argument(parser: ArgumentParser) -> None:
    """Add ``--shape``, the shape of the input."""
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        metavar='N',
        help='shape of the input, H W or C H W; default: the input_shape of '
        'the search hook, or the size of the data_preprocessor',
    )


def add_form_arguments(parser: ArgumentParser) -> None:
    """Add ``--fuse`` and ``--round``, which choose the deployed form."""
    parser.add_argument(
        '--fuse',
        choices=FUSE,
        default='auto',
        help="whether a block's paths of several kernel sizes become one; "
        'default: where that is faster',
    )
    add_round_argument(parser, 'what is fastest on the runtime')


def add_round_argument(parser: ArgumentParser, auto: str) -> None:
    """Add ``--round``.

    Args:
        parser: Parser of the tool.
        auto: What is chosen by default, for the help.
    """
    parser.add_argument(
        '--round',
        type=round_of,
        default='auto',
        metavar='N',
        help='number to whose multiples channels are rounded up with zeros, '
        f'1 for no rounding; default: {auto}',
    )


def count_of(text: str) -> int:
    """Read a number of things of which there must be one or more."""
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(
            f'must be a whole number of at least 1, got {text!r}'
        )
    return int(text)


def round_of(text: str) -> int | str:
    """Read what to round to; what is no number is left to be checked."""
    return int(text) if text.isdigit() else text


def read_config(args: Namespace) -> Config:
    """Prepare the config of a command line, or exit with a clear error."""
    with clear_errors():
        return prepare_config(args.config, args.cfg_options)


def add_runner_arguments(parser: ArgumentParser) -> None:
    """Add the arguments that the frameworks' train.py and test.py share."""
    add_config_arguments(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def data_root_of(cfg: Config) -> str | None:
    """Return the config's ``data_root``, or that of its training data."""
    nodes = [cfg, *nested_dicts(cfg.get('train_dataloader') or {})]
    return next(filter(None, (n.get('data_root') for n in nodes)), None)


def move_data_(cfg: Config, old: str, new: str) -> None:
    """Replace the folder ``old`` by ``new`` in all paths under it."""
    folder, moved = old.rstrip('/'), new.rstrip('/')

    def move(value: Any) -> Any:
        if type(value) in (list, tuple):
            return type(value)(map(move, value))
        if isinstance(value, str) and f'{value}/'.startswith(f'{folder}/'):
            return moved + value[len(folder) :]
        return value

    # They are listed first: a list that is moved holds the same dicts.
    for node in list(nested_dicts(cfg._cfg_dict)):
        for key, value in list(node.items()):
            if type(value) not in (str, list, tuple):
                continue
            path = move(value)
            if path != value:  # else it may hold what is not built yet
                node[key] = path
