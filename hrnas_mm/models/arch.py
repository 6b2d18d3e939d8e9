"""Finding the architecture of a registered module and applying it."""

import os.path as osp
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from ..files import naming, read_checkpoint, weights_in
from ..search import (
    apply_architecture_,
    architecture_in,
    architecture_of,
    named_search_units,
    read_architecture,
)
from ..search.architecture import Architecture


def searched_(
    module: nn.Module,
    arch: None | str | Mapping[str, int],
    plain_weights: bool = False,
) -> None:
    """Shrink a module to its architecture, now and when it loads weights.

    A config of the supernet and a checkpoint of a shrunk network are thus
    enough to build that network. A network that is already smaller cannot
    grow back; torch then reports mismatched sizes as usual.

    Args:
        module: Module at its full size.
        arch: Architecture of the module, or of a model that contains it:
            ``{unit name: count}``, a JSON file of this, or a checkpoint
            ('.pth', '.pt'). None for the architecture of the weights that the
            module's ``init_cfg`` will load.
        plain_weights: Whether these may belong to a network without search
            units.

    Raises:
        ValueError: If a file or checkpoint belongs to another network.
    """
    found = (
        _of_init_cfg(module, plain_weights)
        if arch is None
        else load_architecture(arch, module)
    )
    if found is not None:
        apply_architecture_(module, found)
    # The public name of this method is newer than torch 2.1.
    module._register_load_state_dict_pre_hook(_resize_before_loading, True)


def _resize_before_loading(
    module: nn.Module,
    state_dict: Mapping[str, Tensor],
    prefix: str,
    metadata: Mapping[str, Any],
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    try:
        found = architecture_in(state_dict, module, prefix)
        if found is not None:
            apply_architecture_(module, found)
    except ValueError as error:
        errors.append(str(error))


def load_architecture(
    arch: str | Mapping[str, int], module: nn.Module
) -> Architecture:
    """Read an architecture and return the counts of a module's units.

    Args:
        arch: See :func:`searched_`.
        module: Module at its full size.

    Raises:
        ValueError: If a checkpoint has no importance factors of the module.
    """
    if isinstance(arch, str) and not arch.endswith('.json'):
        found = _in_checkpoint(arch, module)
        if found is None:
            raise ValueError(
                f'arch={arch!r} has no importance factors of a '
                f'{type(module).__name__}: it is a checkpoint of another '
                'network'
            )
        return found
    if not isinstance(arch, (str, Mapping)):
        raise ValueError(
            'arch must be {unit name: count}, a JSON file of this or a '
            f'checkpoint, got {arch!r}'
        )
    counts = read_architecture(arch) if isinstance(arch, str) else dict(arch)
    for name in counts:
        if not isinstance(name, str):
            raise ValueError(
                f'arch must be {{unit name: count}}, got {name!r} for a name'
            )
    prefix = prefix_of(architecture_of(module), counts)
    return {
        name[len(prefix) :]: count
        for name, count in counts.items()
        if name.startswith(prefix)
    }


def _of_init_cfg(
    module: nn.Module, plain_weights: bool
) -> Architecture | None:
    """Return the architecture of the weights that ``init_cfg`` will load.

    It has to be known in the constructor, because weights are initialised
    after the optimizer and the EMA copy are built. None if there are no such
    weights, or they are not in a local file.
    """
    init_cfg = getattr(module, 'init_cfg', None)
    if not isinstance(init_cfg, Mapping) or init_cfg['type'] != 'Pretrained':
        return None
    path = init_cfg.get('checkpoint', '')
    if not osp.isfile(path):
        return None
    found = _in_checkpoint(path, module)
    if found is None and not plain_weights:
        raise ValueError(
            f'init_cfg.checkpoint {path!r} has no importance factors of a '
            f'{type(module).__name__}: they are weights of another network'
        )
    return found


def _in_checkpoint(path: str, module: nn.Module) -> Architecture | None:
    checkpoint = read_checkpoint(path)
    names = {id(param): name for name, param in module.named_parameters()}
    units = named_search_units(module).values()
    alphas = [names[id(unit.alpha)] for unit in units]
    with naming(path):
        weights = weights_in(checkpoint)
        return architecture_in(weights, module, prefix_of(alphas, weights))


def prefix_of(own: Iterable[str], names: Iterable[str]) -> str:
    """Return the most frequent prefix of a module's own names in a model."""
    own = set(own)
    depth = max((name.count('.') for name in own), default=0)
    found = Counter[str]()
    for name in names:
        parts = name.split('.')[-(depth + 1) :]
        for i in range(len(parts)):
            own_name = '.'.join(parts[i:])
            if own_name in own:
                found[name.removesuffix(own_name)] += 1
    return found.most_common(1)[0][0] if found else ''
