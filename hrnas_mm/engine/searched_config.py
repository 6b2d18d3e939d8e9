"""The config of a searched network: that of the run, without the search."""

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict

SEARCH, RESUME = 'ProgressiveShrinkHook', 'ExactResumeHook'


def search_shape(cfg: Config) -> Sequence[int] | None:
    """Return the ``input_shape`` of a config's search, or None.

    A config of a searched network has it at its top level.
    """
    shapes = [hook.get('input_shape') for hook in search_hooks(cfg)]
    return next(filter(None, [*shapes, cfg.get('input_shape')]), None)


def searched_config(
    cfg: Config, architecture: dict[str, int], work_dir: str | None = None
) -> Config | None:
    """Return the run's config for the searched network, without the search.

    Its checkpoints are whole and plain and resume exactly, as in the search.

    Args:
        cfg: Config of the run.
        architecture: Architecture of the network.
        work_dir: Folder that the config trains into; None to name it after
            the config file.

    Returns:
        The config; None if the run was not made from one or has no backbone.
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
            if not _has_plain_weights(part):
                for key in ('pretrained', 'init_cfg'):
                    part.pop(key, None)
    if not _has_plain_weights(cfg.model.backbone):
        cfg.model.pop('pretrained', None)
    shape = search_shape(cfg)
    if shape is not None:
        cfg.input_shape = shape
    cfg.custom_hooks = [
        hook
        for hook in cfg.get('custom_hooks') or []
        if not is_of_type(hook, SEARCH, RESUME)
    ]
    for name, hook in (cfg.get('default_hooks') or {}).copy().items():
        if is_of_type(hook, SEARCH, RESUME):
            del cfg.default_hooks[name]
    if cfg.get('runner_type', 'Runner') == 'Runner':
        cfg.custom_hooks.append(dict(type=f'hrnas_mm.{RESUME}'))
    cfg.load_from, cfg.resume = None, False
    for name in ('work_dir', 'experiment_name'):  # belong to the search
        cfg.pop(name, None)
    if work_dir is not None:
        cfg.work_dir = work_dir
    return cfg


def search_hooks(cfg: Config) -> Iterator[ConfigDict]:
    """Yield the search hooks of a config, as they are written in it."""
    default = (cfg.get('default_hooks') or {}).values()
    for hook in [*(cfg.get('custom_hooks') or []), *default]:
        if is_of_type(hook, SEARCH):
            yield hook


def _has_plain_weights(part: ConfigDict) -> bool:
    """Return whether pre-trained weights are not of the whole supernet."""
    return is_of_type(part, 'with_transformers')


def is_of_type(part: Any, *names: str) -> bool:
    """Return whether a part of a config has one of several types.

    Args:
        part: Config of the part, or the part itself, such as a hook.
        names: Names of the types, without their registries.
    """
    kind = part.get('type') if isinstance(part, dict) else part
    return getattr(kind, '__name__', str(kind)).endswith(names)


def _parts(model: ConfigDict) -> Iterator[tuple[str, ConfigDict]]:
    """Yield the parts of a model's config with their module names."""
    for name, part in model.items():
        if isinstance(part, dict):
            yield name, part
        elif isinstance(part, (list, tuple)):
            for i, item in enumerate(part):
                if isinstance(item, dict):
                    yield f'{name}.{i}', item
