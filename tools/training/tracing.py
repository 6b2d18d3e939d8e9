"""Finding the part of a config in which an error arose."""

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn

from hrnas_mm.cli.errors import in_a_line
from hrnas_mm.engine.check_samples import key_of
from hrnas_mm.nested import named_dicts


@contextlib.contextmanager
def failing(key: str, *owners: Any) -> Iterator[None]:
    """Turn any error into one that names the key of what fails.

    Args:
        key: Config key of what is tried.
        owners: Models, data sets with pipelines, or configs of what is built,
            in which it may fail.

    Raises:
        ValueError: In place of the error.
    """
    try:
        yield
    except Exception as error:
        places = [place_of(error, key, owner) for owner in owners]
        place = next(filter(None, places), key)
        raise ValueError(
            f'{place} fails in the rehearsal: {in_a_line(error)}'
        ) from error


def place_of(error: Exception, key: str, owner: Any) -> str | None:
    """Return the config key of the innermost part in which an error arose.

    Args:
        error: Error with its traceback.
        key: Config key of the owner.
        owner: Model, data set with a pipeline, or config of what is built.
    """
    if isinstance(owner, (dict, list)):
        # By their texts, as upstream copies a config before it builds; of two
        # that are alike the first one fails.
        nodes = reversed([*named_dicts(owner, key)])
        name, parts = 'cfg', {str(node): place for place, node in nodes}
        same: Any = str
    else:
        name, parts, same = 'self', _parts(key, owner), id
    found = None
    trace = error.__traceback__
    while trace is not None:
        own = trace.tb_frame.f_locals.get(name)
        found = parts.get(same(own), found)
        trace = trace.tb_next
    return found


def _parts(key: str, owner: Any) -> dict[Any, str]:
    """Return the config keys of the parts of a model or of a data set."""
    if isinstance(owner, nn.Module):
        modules = owner.named_modules()
        return {id(part): key_of(name) for name, part in modules if name}
    pipeline = getattr(owner, 'pipeline', None)
    if not key.endswith('.dataset'):
        key = f'{key}.dataset'
    return {
        id(transform): f'{key}.pipeline[{i}]'
        for i, transform in enumerate(getattr(pipeline, 'transforms', ()))
    }
