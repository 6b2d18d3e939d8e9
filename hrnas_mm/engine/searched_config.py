"""The config of a searched network: the run's, without the search."""

from collections.abc import Iterator

from mmengine.config import Config, ConfigDict

SEARCH, RESUME = 'ProgressiveShrinkHook', 'ExactResumeHook'


def searched_config(
    cfg: Config, architecture: dict[str, int]
) -> Config | None:
    """Return the run's config for the searched network, with no search in it.

    Its checkpoints are whole and plain, and resume exactly, as the run's.

    Args:
        cfg: Of the run.
        architecture: Of the network.

    Returns:
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
        if not hook['type'].endswith((SEARCH, RESUME))
    ]
    if cfg.get('runner_type', 'Runner') == 'Runner':
        cfg.custom_hooks.append(dict(type=f'hrnas_mm.{RESUME}'))
    cfg.load_from, cfg.resume = None, False
    return cfg


def _parts(model: ConfigDict) -> Iterator[tuple[str, ConfigDict]]:
    """Yield the parts of a model by the names of their modules."""
    for name, part in model.items():
        if isinstance(part, dict):
            yield name, part
        elif isinstance(part, (list, tuple)):
            for i, item in enumerate(part):
                if isinstance(item, dict):
                    yield f'{name}.{i}', item
