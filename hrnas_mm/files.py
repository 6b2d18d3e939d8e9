"""Files that are never half written, and reading that runs no code."""

import json
import math
import os
import os.path as osp
import re
import tarfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from copy import copy
from typing import Any

import torch
from torch import nn

from .stand_ins import STAND_INS

# The names of half-written files: no file of a user's is called so.
_HALF_WRITTEN = re.compile(r'\.hrnas_mm_[0-9a-f]{32}_.+')


@contextmanager
def replacing(path: str) -> Iterator[str]:
    """Yield a temporary path to write to, then move that file to ``path``.

    If writing fails, or the process is killed in the middle of it, the
    previous file at ``path`` is still there.
    """
    folder, name = osp.split(path)
    # Unique, because another process may be writing the same file.
    temporary = osp.join(folder, f'.hrnas_mm_{uuid.uuid4().hex}_{name}')
    try:
        yield temporary
        with open(temporary, 'rb') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.remove(temporary)
        raise


def remove_leftovers_(folder: str) -> None:
    """Remove from a folder what killed processes have left half written.

    Folders in it are not searched, and links are not followed.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _HALF_WRITTEN.fullmatch(entry.name) and entry.is_file(
                follow_symlinks=False
            ):
                os.remove(entry.path)


_load = torch.load
_WRAPPER = 'module.'


def load_plain(file: Any, *args: Any, **options: Any) -> Any:
    """Load tensors and plain types, in place of ``torch.load``.

    Histories and numpy values of the frameworks are skipped.

    Args:
        file: Path, or open file.
        args: Arguments of ``torch.load``.
        options: Options of ``torch.load``; ``weights_only`` is always on.

    Raises:
        ValueError: If the file is not a checkpoint, or holds other objects.
    """
    try:
        # Before 2.6 torch ran the code in these, weights_only or not.
        if isinstance(file, (str, os.PathLike)) and tarfile.is_tarfile(file):
            raise ValueError('it is a tar archive')
        # Before 2.5 torch had no such list, and refuses what is skipped.
        safe_globals = getattr(
            torch.serialization, 'safe_globals', lambda names: nullcontext()
        )
        with safe_globals(STAND_INS):
            return _load(file, *args, **{**options, 'weights_only': True})
    except OSError:
        raise
    except Exception as error:  # torch raises many types for damaged files
        raise ValueError(
            f'{file} is no checkpoint, or it holds Python objects, which '
            'could run code; only tensors and plain types are loaded'
        ) from error


def read_checkpoint(path: str) -> dict[str, Any]:
    """Read a checkpoint of tensors and plain types.

    Raises:
        ValueError: If the file is not a checkpoint, or holds other objects.
    """
    checkpoint = load_plain(path, 'cpu')
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f'{path} must hold a dict, got {type(checkpoint).__name__}'
        )
    return checkpoint


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Add the path of a checkpoint to errors about its content.

    Raises:
        ValueError: In place of a ValueError raised inside.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f'{path} cannot be loaded: {error}') from error


def weights_in(checkpoint: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return the state dict in a checkpoint, or the checkpoint if it is one.

    The prefix of a data-parallel wrapper is removed.

    Raises:
        ValueError: If it is not a dict of tensors by name.
    """
    weights: Any = checkpoint.get('state_dict', checkpoint)
    found = f'one of type {type(weights).__name__}'
    if isinstance(weights, dict):
        # The extra state of a module need not be a tensor.
        odd = [
            f'{name!r:.99} of type {type(value).__name__}'
            for name, value in weights.items()
            if not isinstance(name, str)
            or not isinstance(value, torch.Tensor)
            and not name.endswith('_extra_state')
        ]
        if not odd and all(name.startswith(_WRAPPER) for name in weights):
            return {name[len(_WRAPPER) :]: weights[name] for name in weights}
        if not odd:
            return copy(weights)  # with the versions that torch notes in it
        found = odd[0]
    raise ValueError(
        f'its state_dict must be tensors by their names, got {found}'
    )


def load_weights_(
    model: nn.Module, state_dict: Mapping[str, torch.Tensor]
) -> None:
    """Load weights into a model, in place.

    Parts that the model does not have, such as an auxiliary head or a
    teacher, are left out, and so are buffers of other versions.

    Args:
        model: Model that takes the weights.
        state_dict: State dict with the weights.

    Raises:
        ValueError: If a tensor of the model is missing or has another shape,
            or if a part of the model has more weights in the state dict.
    """
    misfits: list[str] = []

    # Modules may rename tensors before they load them: only torch knows.
    def note(module: nn.Module, keys: Any) -> None:
        misfits.extend(
            f'{name} is missing'
            for name in keys.missing_keys
            if not name.endswith('.num_batches_tracked')
        )
        parts = dict(model.named_children())
        misfits.extend(
            f'{name} is not in the model'
            for name in keys.unexpected_keys
            if name.split('.')[0] in parts
            and name.endswith(('.weight', '.bias'))
        )

    hook = model.register_load_state_dict_post_hook(note)
    try:
        model.load_state_dict(state_dict, strict=False)
    except RuntimeError as error:
        misfits[:0] = map(str.strip, str(error).splitlines()[1:])
    finally:
        hook.remove()
    if misfits:
        shown = '; '.join(misfit[:300].rstrip('.') for misfit in misfits[:3])
        more = len(misfits) - 3
        raise ValueError(
            f'it is of another network than that of the config: {shown}'
            + (f'; and {more} more' if more > 0 else '')
        )


def write_json(path: str, content: Any, indent: int | None = None) -> None:
    """Write a JSON file, whole or not at all; see :func:`read_json`.

    JSON has no NaN and no infinity: they become null.
    """
    with replacing(path) as new, open(new, 'w') as file:
        json.dump(_finite(content), file, indent=indent, allow_nan=False)
        file.write('\n')


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {name: _finite(item) for name, item in content.items()}
    if isinstance(content, (list, tuple)):
        return list(map(_finite, content))
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def read_json(path: str) -> Any:
    """Read a JSON file in which no object has the same name twice.

    Raises:
        ValueError: If the file is not such JSON; the error says where.
    """
    # Editors on Windows begin a file with a mark.
    with open(path, encoding='utf-8-sig') as file:
        try:
            return json.load(file, object_pairs_hook=_without_repeats)
        except ValueError as error:
            raise ValueError(f'{path} is not JSON: {error}') from error
        except RecursionError as error:
            raise ValueError(
                f'{path} is not JSON of this kind: it is nested too deep'
            ) from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'{twice!r} is there twice')
    return content
