"""The config of a searched network: that of the run, without the search."""

from collections.abc import Iterator

from mmengine.config import Config, ConfigDict

from ..search_in_config import RESUME, SEARCH, is_of_type, search_shape


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
    for name in ('work_dir', 'experiment_name', 'overwrite'):  # of the search
        cfg.pop(name, None)
    if work_dir is not None:
        cfg.work_dir = work_dir
    return cfg


def _has_plain_weights(part: ConfigDict) -> bool:
    """Return whether pre-trained weights are not of the whole supernet."""
    return is_of_type(part, 'with_transformers', 'Searchable')


def _parts(model: ConfigDict) -> Iterator[tuple[str, ConfigDict]]:
    """Yield the parts of a model's config with their module names."""
    for name, part in model.items():
        if isinstance(part, dict):
            yield name, part
        elif isinstance(part, (list, tuple)):
            for i, item in enumerate(part):
                if isinstance(item, dict):
                    yield f'{name}.{i}', item
