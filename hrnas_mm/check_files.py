"""Checks that the data of a config is where it says, and can be loaded."""

import inspect
import os
import os.path as osp
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from .frameworks import data_site
from .nested import named_dicts

# Folders that a dataset requires, by their names in data_prefix.
NEEDED = ('img_path', 'seg_map_path', 'img', 'pts')
SUFFIXES = dict(img_path='img_suffix', seg_map_path='seg_map_suffix')


def check_data(cfg: Config, *loaders: str) -> None:
    """Raise an error with advice if the data of a config is missing.

    Args:
        cfg: Config. Its ``data_help`` tells where the data comes from;
            without it, this is known for the benchmarks' datasets.
        loaders: Names of dataloaders in the config; those that are None are
            skipped.

    Raises:
        FileNotFoundError: If data is missing; the error names the config key,
            the folder or the file, and how to get it.
    """
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    for loader in loaders:
        for key, node in named_dicts(cfg.get(loader) or {}, loader):
            root = node.get('data_root')
            if root and '://' not in root:  # else not on this machine
                _check_paths(cfg, key, node)
                _check_folders(key, node)


def _check_paths(cfg: Config, key: str, node: dict[str, Any]) -> None:
    folder = node['data_root']
    for name, path in (
        ('data_root', folder),
        ('ann_file', osp.join(folder, node.get('ann_file') or '')),
    ):
        if not osp.exists(path):
            raise FileNotFoundError(
                f'{key}.{name} {path!r} does not exist. {_help(cfg, node)}'
                'Give another folder with --cfg-options data_root=...'
            )


def _check_folders(key: str, node: dict[str, Any]) -> None:
    """Check that there are files that a dataset would list."""
    for name, prefix in _prefixes(node):
        option = f'{key}.data_prefix' + (f'.{name}' if name else '')
        folder = osp.join(node['data_root'], prefix)
        if '://' in folder:
            continue
        if not osp.isdir(folder):
            raise FileNotFoundError(
                f'{option} {folder!r} does not exist. Give another with '
                f'--cfg-options {option}=...'
            )
        suffix = _suffix(node, name)
        names = (name for _, _, names in os.walk(folder) for name in names)
        first = next(names, None)
        if first is None:
            raise FileNotFoundError(f'{option} {folder!r} is empty')
        if first.endswith(suffix) or any(n.endswith(suffix) for n in names):
            continue
        raise FileNotFoundError(
            f'{option} {folder!r} has no file that ends in {suffix!r}, but '
            f'{first!r}. Give the suffix with --cfg-options '
            f'{key}.{SUFFIXES[name]}=...'
        )


def _prefixes(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    prefix = node.get('data_prefix') or {}
    if isinstance(prefix, str):
        yield '', prefix
        return
    for name, folder in prefix.items():
        # A dataset of point clouds may name images but works without them.
        needed = name in NEEDED and not (name == 'img' and 'pts' in prefix)
        if needed and folder is not None:
            yield name, folder


def _suffix(node: dict[str, Any], prefix: str) -> str:
    """Return the required suffix of file names; '' if any name will do."""
    option = SUFFIXES.get(prefix)
    if option is None:
        return ''
    if option in node:
        return node[option]
    kind = node.get('type', '')
    if isinstance(kind, str):
        kind = DATASETS.get(kind)
    for base in getattr(kind, '__mro__', ()):
        parameters = inspect.signature(base.__init__).parameters
        if option in parameters:
            return parameters[option].default
    return ''


def _help(cfg: Config, dataset: dict[str, Any]) -> str:
    if 'data_help' in cfg:
        return f'{cfg.data_help} '
    site = data_site(dataset.get('type', ''))
    if site is None:
        return ''
    folder = dataset['data_root']
    if osp.exists(folder):  # with other files, which are not to be replaced
        folder = f'data/demo_{site.layout}'
    return (
        f'{site.home} To only try it: python tools/make_demo_data.py '
        f'{site.layout} {folder}. '
    )


def check_workers(cfg: Config) -> None:
    """Raise ValueError if a loader without workers has options of workers.

    torch allows them only with workers; an override of ``num_workers`` alone
    leaves them behind.
    """
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(key) or {}
        for option in ('persistent_workers', 'prefetch_factor'):
            if loader.get(option) and not loader.get('num_workers', 0):
                none = False if option == 'persistent_workers' else None
                raise ValueError(
                    f'{key}.{option} must not be given with '
                    f'{key}.num_workers=0, got {loader[option]}: '
                    f'--cfg-options {key}.{option}={none}'
                )
