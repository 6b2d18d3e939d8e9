"""Check the types in a config: that each is in its registry."""

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    EVALUATOR,
    FUNCTIONS,
    HOOKS,
    LOG_PROCESSORS,
    LOOPS,
    METRICS,
    MODEL_WRAPPERS,
    MODELS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    RUNNERS,
    TRANSFORMS,
    VISBACKENDS,
    VISUALIZERS,
    Registry,
)

from hrnas_mm.nested import named_dicts
from hrnas_mm.search_in_config import is_of_type
from hrnas_mm.spelling import like

from .quiet import quiet

# By the key that a dict has in the config, without its number in a list.
OF_KEY: Mapping[str, tuple[Registry, ...]] = {
    'dataset': (DATASETS,),
    'datasets': (DATASETS,),
    'pipeline': (TRANSFORMS,),
    'transforms': (TRANSFORMS,),
    'sampler': (DATA_SAMPLERS,),
    'batch_sampler': (DATA_SAMPLERS,),
    'collate_fn': (FUNCTIONS,),
    'optimizer': (OPTIMIZERS,),
    'vis_backends': (VISBACKENDS,),
    'metrics': (METRICS,),
}
# By the key at the top level of the config.
AT_TOP: Mapping[str, tuple[Registry, ...]] = {
    'model': (MODELS,),
    'model_wrapper_cfg': (MODEL_WRAPPERS, MODELS),
    'optim_wrapper': (OPTIM_WRAPPERS,),
    'param_scheduler': (PARAM_SCHEDULERS,),
    'train_cfg': (LOOPS,),
    'val_cfg': (LOOPS,),
    'test_cfg': (LOOPS,),
    'val_evaluator': (METRICS, EVALUATOR),
    'test_evaluator': (METRICS, EVALUATOR),
    'custom_hooks': (HOOKS,),
    'visualizer': (VISUALIZERS,),
    'log_processor': (LOG_PROCESSORS,),
}
ALBUMENTATIONS = ('Albu', 'Albumentation', 'Albumentations')
DATA = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def check_types(cfg: Config) -> None:
    """Raise ValueError if a config names a class that there is not.

    The parts inside of the model are left to be built: what they name is
    sought in registries that only they know.

    Args:
        cfg: Config of a training; its default scope is set.

    Raises:
        ValueError: If there is such a name; the message has its key, and a
            suggestion.
    """
    with quiet():
        _check_all(cfg)
    for name in ('train_cfg', 'val_cfg', 'test_cfg'):
        _check_loop(name, cfg.get(name) or {})


def _check_all(cfg: Config) -> None:
    for key, node in _typed(cfg):
        kinds = _registries(key)
        if kinds and isinstance(node.get('type'), str):
            _check(f'{key}.type', node['type'], kinds, node.get('_scope_'))
        name = node.get('constructor')
        if key == 'optim_wrapper' and isinstance(name, str):
            _check(f'{key}.constructor', name, (OPTIM_WRAPPER_CONSTRUCTORS,))
    if isinstance(cfg.get('runner_type'), str):
        _check('runner_type', cfg.runner_type, (RUNNERS,))


def _typed(cfg: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    others = 'no key'  # inside of which transforms are albumentations' own
    for place in (*DATA, *AT_TOP, 'default_hooks'):
        for key, node in named_dicts(cfg.get(place), place):
            if is_of_type(node, *ALBUMENTATIONS):
                others = f'{key}.'
            if not key.startswith(others):
                yield key, node


def _registries(key: str) -> tuple[Registry, ...]:
    plain = re.sub(r'\[\d+\]', '', key)
    if plain.startswith('default_hooks.') and plain.count('.') == 1:
        return (HOOKS,)
    if plain in AT_TOP:
        return AT_TOP[plain]
    if plain.startswith('model.') or '.metainfo' in plain:
        return ()
    return OF_KEY.get(plain.rsplit('.', 1)[-1], ())


def _check(
    key: str,
    name: str,
    registries: tuple[Registry, ...],
    scope: str | None = None,
) -> None:
    known: set[str] = set()
    for registry in registries:
        with registry.switch_scope_and_registry(scope) as scoped:
            try:
                if scoped.get(name) is not None:
                    return
            except ImportError:  # a whole path, of which a part is missing
                pass
            known.update(_names(scoped))
    raise ValueError(
        f'{key} must be a registered {registries[0].name}, got {name!r}'
        f'{like(name.split(".")[-1], known)}'
    )


def _names(registry: Registry | None) -> Iterator[str]:
    while registry is not None:
        yield from registry.module_dict
        registry = registry.parent


def _check_loop(key: str, node: Mapping[str, Any]) -> None:
    """Refuse options of another loop, and numbers below one."""
    for name in ('max_epochs', 'max_iters', 'val_interval'):
        value = node.get(name, 1)
        if not isinstance(value, (int, float)) or not value >= 1:
            raise ValueError(
                f'{key}.{name} must be a number of at least 1, got {value!r}'
            )
    kind = node.get('type')
    if key == 'train_cfg' and node and (kind is None) != ('by_epoch' in node):
        raise ValueError(
            f'train_cfg must have either type or by_epoch, got {dict(node)}'
        )
    if kind is None and 'by_epoch' in node:
        kind = f'{"Epoch" if node["by_epoch"] else "Iter"}BasedTrainLoop'
    if isinstance(kind, str):
        kind = LOOPS.get(kind)
    if kind is None:
        return
    parameters = inspect.signature(kind).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in node:
        if name not in (*parameters, 'type', 'by_epoch', '_scope_'):
            raise ValueError(
                f'{key}, a {kind.__name__}, has no option {name!r}'
                f'{like(name, set(parameters) - {"runner", "dataloader"})}'
            )
