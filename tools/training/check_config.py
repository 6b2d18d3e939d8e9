"""Checks of a config, made before a Runner fills the screen with its log."""

import inspect
import os.path as osp
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from difflib import get_close_matches
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS as ALL_MODELS
from mmengine.registry import init_default_scope
from torch import nn

from hrnas_mm.building import build_model
from hrnas_mm.check_files import check_workers
from hrnas_mm.cli.errors import in_a_line, is_ours
from hrnas_mm.deploy import cost_model_of
from hrnas_mm.engine.latency import given_latency, parse_target
from hrnas_mm.engine.milestones import parse_milestones
from hrnas_mm.engine.options import SearchOptions
from hrnas_mm.engine.plan import make_schedule
from hrnas_mm.modules import LightweightTransformer
from hrnas_mm.nested import named_dicts
from hrnas_mm.registry import HOOKS, MODELS
from hrnas_mm.search_in_config import SEARCH, search_hooks
from hrnas_mm.spelling import like

from .check_types import check_types
from .quiet import quiet

# Without these there is no training.
NEEDED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')
# What mmengine has defaults for, but not where it is None.
NOT_NONE = ('env_cfg', 'log_level', 'randomness')


def check_config(cfg: Config) -> nn.Module:
    """Raise an error about the first mistake in a config.

    Checked are all types, the options of this package's classes, the settings
    of evaluations, the model, and whether it can be searched to the target.

    Args:
        cfg: Config of a training.

    Returns:
        The model of the config.

    Raises:
        FileNotFoundError: If it begins with a checkpoint that is not there.
        ValueError: If there is a mistake; the message names the config key.
    """
    _check_there(cfg)
    ours = {**_classes(MODELS), **_classes(HOOKS)}
    for place in ('model', 'custom_hooks', 'default_hooks'):
        for key, node in named_dicts(cfg.get(place), place):
            if isinstance(node.get('type'), str):
                _check_names(key, node, ours)
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    check_types(cfg)
    path = cfg.get('load_from')
    if path and '://' not in path and not osp.isfile(osp.expanduser(path)):
        key = '--resume' if cfg.get('resume') else 'load_from'
        raise FileNotFoundError(f'{key} {path!r} does not exist')
    for split in ('val', 'test'):
        _check_evaluation(cfg, split)
    check_workers(cfg)
    model = _built(cfg)
    for options in search_options(cfg):
        _check_search(options, cfg, model)
    return model


def _check_there(cfg: Config) -> None:
    for name in NEEDED:
        if not isinstance(cfg.get(name), dict):
            raise ValueError(
                f'{name} must be given as a dict, got {cfg.get(name)!r}'
            )
    for name in NOT_NONE:
        if name in cfg and cfg[name] is None:
            raise ValueError(
                f'{name} must not be None: leave it out for the default'
            )


def _check_names(
    key: str, node: Mapping[str, Any], ours: Mapping[str, Callable[..., Any]]
) -> None:
    """Raise ValueError if a class or an option of ours is misspelt."""
    name = node['type'].split('.')[-1]
    if name not in ours:
        for meant in get_close_matches(name, ours, 1, cutoff=0.85):
            raise ValueError(
                f'{key}.type is {name!r}; did you mean {meant!r}?'
            )
        return
    _check_options(key, name, ours[name], set(node) - {'type', 'priority'})
    _check_options(
        f'{key}.transformer',
        name,
        LightweightTransformer,
        set(node.get('transformer') or {}),
    )


def _classes(registry: Any) -> dict[str, Callable[..., Any]]:
    registry.import_from_location()
    return registry.module_dict


def _check_options(
    key: str, name: str, built: Callable[..., Any], options: set[str]
) -> None:
    known = set(inspect.signature(built).parameters)
    for option in sorted(options - known - {'_scope_'}):
        raise ValueError(
            f'{key}, of type {name}, has no option {option!r}'
            f'{like(option, known)}'
        )


def _check_evaluation(cfg: Config, split: str) -> None:
    names = [f'{split}_{part}' for part in ('dataloader', 'cfg', 'evaluator')]
    there = [name for name in names if cfg.get(name) is not None]
    missing = [name for name in names if cfg.get(name) is None]
    if there and missing:
        raise ValueError(
            f'{" and ".join(missing)} must be given, as {" and ".join(there)} '
            f'{"are" if len(there) > 1 else "is"}; or none of the three'
        )


def _built(cfg: Config) -> nn.Module:
    """Build the model, or raise an error that says which part fails, and why.

    Errors that this package has raised on purpose are left as they are.
    """
    try:
        with quiet():  # the run builds it again, and tells
            return build_model(cfg)
    except Exception as error:
        if is_ours(error):
            raise
        key = _culprit(cfg)
        raise ValueError(
            f'{key} cannot be built: {in_a_line(error)}'
        ) from error


def _culprit(cfg: Config) -> str:
    """Return the key of the first part of the model that cannot be built."""
    for key, node in cfg.model.items():
        if isinstance(node, Mapping) and 'type' in node:
            try:
                ALL_MODELS.build(deepcopy(node))
            except Exception:
                return f'model.{key}, of type {node["type"]},'
    return f'model, of type {cfg.model.get("type")},'


def search_options(cfg: Config) -> Iterator[SearchOptions]:
    """Yield the options of the search hooks of a config."""
    for hook in search_hooks(cfg):
        options = {k: hook[k] for k in hook if k not in ('type', 'priority')}
        yield _classes(HOOKS)[SEARCH](**options).options


def _check_search(
    options: SearchOptions, cfg: Config, model: nn.Module
) -> None:
    cost_model = cost_model_of(model, options.input_shape)
    latency = given_latency(options.latency, cost_model)
    if options.latency is None or latency is not None:
        budget = None
        if options.target is not None:
            budget = parse_target(options.target, cost_model, latency=latency)
        parse_milestones(options.milestones, cost_model, budget, latency)
    # Only where the length of an epoch does not matter: the data, which
    # determine it, have not been loaded.
    length = 'max_epochs' if options.by_epoch else 'max_iters'
    if length in cfg.train_cfg:
        make_schedule(options, cfg.train_cfg[length], 1)
