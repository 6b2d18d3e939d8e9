"""Configs, as the command lines read them."""

import os.path as osp
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from mmengine.config import Config, ConfigDict, DictAction
from mmengine.hub import get_config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, RUNNERS, init_default_scope
from mmengine.runner import Runner
from torch import Tensor, nn

from .command import clear_errors
from .compat import use_gloo_
from .compat_mmdet3d import mend_mmdet3d_
from .data import check_data, data_root_of, move_data_
from .search.files import read_checkpoint

NO_DEPS = ' && pip install --no-deps {}'
TORCHVISION = ' (and the torchvision of your torch)'
EXTRAS = dict(
    mmseg="pip install 'hrnas_mm[seg]'",
    mmpose="pip install 'hrnas_mm[pose]'"
    + NO_DEPS.format('mmpose==1.3.2')
    + TORCHVISION,
    mmdet3d="pip install 'hrnas_mm[det3d]'" + NO_DEPS.format('mmdet3d==1.4.0'),
    mmpretrain="pip install 'hrnas_mm[cls]'" + TORCHVISION,
    mmdet='pip install mmdet==3.2.0',
)


def prepare_config(
    path: str,
    options: dict[str, Any] | None = None,
    work_dir: str | None = None,
) -> Config:
    """Read a config and apply what the command line overrides.

    Args:
        path: The config file, or one of a framework: 'mmseg::hrnet/....py'.
        options: Of ``--cfg-options``. ``data_root`` moves every data set that
            is under the config's ``data_root``, or that of its training data.
        work_dir: Of ``--work-dir``; else the config's, else
            ``work_dirs/<name of the config>``.

    Raises:
        ModuleNotFoundError: If the config is of a framework that is not
            installed; names the extra that installs it.
    """
    cfg = _read(path)
    options = dict(options or {})
    old = data_root_of(cfg)
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
    if framework and framework not in EXTRAS:
        raise ValueError(
            f'{path} must begin with one of {", ".join(EXTRAS)}, got '
            f'{framework!r}'
        )
    _check_installed(path, framework)
    try:
        cfg = get_config(path) if framework else Config.fromfile(path)
    except ModuleNotFoundError as error:  # of a _base_
        missing = [name for name in EXTRAS if str(error).startswith(name)]
        _check_installed(path, *missing)
        raise
    _check_installed(path, cfg.get('default_scope'))
    return cfg


def _check_installed(path: str, *frameworks: str) -> None:
    for framework in frameworks:
        if framework in EXTRAS and find_spec(framework) is None:
            raise ModuleNotFoundError(
                f'{path} needs {framework}, which is not installed: '
                f'{EXTRAS[framework]}'
            )


def add_config_arguments(parser: ArgumentParser) -> None:
    """Add what all command lines have that read a config."""
    parser.add_argument('config', help='config file, of the search say')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='key=value pairs that override the config; data_root=... moves '
        'every data set that is under the data_root of the config',
    )


def add_shape_argument(parser: ArgumentParser) -> None:
    """Add the input shape that a command line may be given."""
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        metavar='N',
        help='H W or C H W; default: the input_shape of the search, or the '
        'size of the data_preprocessor',
    )


def read_config(args: Namespace) -> Config:
    """Prepare the config of a command line, or exit and say what is wrong."""
    with clear_errors():
        return prepare_config(args.config, args.cfg_options)


def add_runner_arguments(parser: ArgumentParser) -> None:
    """Add what the frameworks' train.py and test.py have in common."""
    add_config_arguments(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def build_runner(cfg: Config, *loaders: str) -> Runner:
    """Build the runner of a config, on GPUs or on the CPU.

    Args:
        cfg: Has its ``launcher`` and its ``work_dir``.
        loaders: Names of the data loaders whose folders have to be there.

    Raises:
        FileNotFoundError: See :func:`check_data`.
    """
    check_data(cfg, *loaders)
    use_gloo_(cfg)
    scope = cfg.get('default_scope')
    if scope == 'mmpretrain':
        _collate_as_mmpretrain_(cfg)
    if scope == 'mmdet3d':
        mend_mmdet3d_()
    build = RUNNERS.build if 'runner_type' in cfg else Runner.from_cfg
    return build(cfg)


def _collate_as_mmpretrain_(cfg: Config) -> None:
    """Its models take batches, not lists; its own train.py does this too."""
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader is not None:
            loader.setdefault('collate_fn', dict(type='default_collate'))
            loader.setdefault('pin_memory', True)


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config, for one process on any device."""
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    return revert_sync_batchnorm(MODELS.build(cfg.model))


def load_network(cfg: Config, path: str) -> nn.Module:
    """Build the model of a config and load weights, of a shrunk network say.

    Args:
        path: A checkpoint; loading it runs no code.

    Raises:
        ValueError: If it is no checkpoint, or of another network; names the
            first misfit.
    """
    model = build_model(cfg)
    checkpoint = read_checkpoint(path)
    load_weights_(model, checkpoint.get('state_dict', checkpoint), path)
    return model


def load_weights_(
    model: nn.Module, state_dict: dict[str, Tensor], path: str
) -> None:
    """Load weights into a model, in place.

    Args:
        path: Where they are from.

    Raises:
        ValueError: If they are of another network; names the first misfit.
    """
    try:
        model.load_state_dict(state_dict)
    except RuntimeError as error:
        problem = str(error).splitlines()[1].strip()
        raise ValueError(
            f'{path} is of another network than that of the config: '
            + (problem if len(problem) < 300 else f'{problem[:300]} ...')
        ) from error


def search_shape(cfg: Config) -> Sequence[int] | None:
    """The ``input_shape`` at which the config's search counts, if it says."""
    shapes = [hook.get('input_shape') for hook in cfg.get('custom_hooks', [])]
    return next(filter(None, shapes), None)


def searched_config(
    cfg: Config, architecture: dict[str, int]
) -> Config | None:
    """The run's config for the searched network, with no search in it.

    None where the run was not made from a config, or has no backbone.
    """
    if 'backbone' not in cfg.get('model', {}):
        return None
    cfg = Config(cfg.to_dict())
    for name, part in _parts(cfg.model):
        prefix = f'{name}.'
        arch = {
            unit[len(prefix) :]: count
            for unit, count in architecture.items()
            if unit.startswith(prefix)
        }
        if arch:
            part.arch = arch
            for key in ('pretrained', 'init_cfg'):  # weights of the supernet
                part.pop(key, None)
    cfg.model.pop('pretrained', None)
    cfg.custom_hooks = [
        hook
        for hook in cfg.get('custom_hooks', [])
        if not hook['type'].endswith('ProgressiveShrinkHook')
    ]
    cfg.load_from, cfg.resume = None, False
    return cfg


def _parts(model: ConfigDict) -> Iterator[tuple[str, ConfigDict]]:
    """The parts of a model by the names of their modules."""
    for name, part in model.items():
        if isinstance(part, dict):
            yield name, part
        elif isinstance(part, (list, tuple)):
            for i, item in enumerate(part):
                if isinstance(item, dict):
                    yield f'{name}.{i}', item
