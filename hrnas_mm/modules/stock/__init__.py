"""Stock networks whose channels become search units, found by a trace."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from ...coupling import (
    Coupling,
    Place,
    TensorName,
    find_coupling,
    positions_of,
)
from ...search.units import is_inside, named_searchables
from .blocks import WIDTHS, Blocks
from .checking import declare_, misfits, switch_off_
from .deploying import deploy_channels_, is_plain_norm
from .groups import Group
from .layers import StockLayer, layers_of
from .plan import Channels, Plan, segments_of
from .residual import residual_of
from .units import SearchableChannels

__all__ = [
    'SearchableChannels',
    'Selection',
    'StockLayer',
    'Widths',
    'deploy_channels_',
    'is_plain_norm',
    'layers_of',
    'searchable_',
    'switch_off_',
]

Widths = Literal['blocks', 'all']


@dataclass(frozen=True)
class Selection:
    """Which channels of a network are searched.

    Attributes:
        widths: The choice that was made, see :func:`searchable_`.
        shares: Share of the multiply-adds of the network's layers that can
            go, for each choice of ``widths``.
        reasons: Why the output channels of other layers stay, by layer.
    """

    widths: str
    shares: Mapping[str, float]
    reasons: Mapping[str, str]

    def __str__(self) -> str:
        """Return it as a sentence, with the first reasons."""
        share, most = self.shares[self.widths], self.shares['all']
        text = f'a search can remove {share:.0%} of its multiply-adds'
        if self.widths == 'blocks':
            text += f", with widths='all' {most:.0%}"
        stay = [f'{name} ({why})' for name, why in self.reasons.items()]
        if stay:
            some = 'layers keep' if len(stay) > 1 else 'layer keeps'
            text += f'; {len(stay)} {some} their channels: '
            text += ', '.join(stay[:3]) + ', ...' * (len(stay) > 3)
        return text


def searchable_(
    model: nn.Module, *inputs: Any, widths: Widths = 'blocks'
) -> Selection:
    """Make the channels of any network search units, in place.

    The names of its weights, and what it computes, stay the same. Modules that
    have units become of classes derived from their own.

    Args:
        model: Network to search.
        inputs: Arguments that it can run with; their values do not matter.
        widths: 'blocks' for channels that begin and end inside one block,
            'all' also for those that several blocks add up to or concatenate.
            What the network puts out keeps its channels.

    Raises:
        ValueError: If no channels can be searched; the error says why.
    """
    if widths not in WIDTHS:
        raise ValueError(f'widths must be one of {WIDTHS}, got {widths!r}')
    own = [name for name, _ in named_searchables(model)]
    if '' in own:
        raise ValueError(
            f'{type(model).__name__} already declares search units itself'
        )
    coupling = find_coupling(model, inputs, own)
    image = tree_map_only(Tensor, lambda t: t[:1].to('meta'), inputs)
    blocks = Blocks(model, coupling, positions_of(model, image))
    while True:
        owned = dict(all=blocks.whole(), blocks=blocks.apart())
        shares = {name: blocks.share(groups) for name, groups in owned.items()}
        reasons = dict(blocks.reasons)
        if widths == 'blocks':
            reasons = {**blocks.between, **reasons}
        _check_any(model, shares, widths, reasons)
        plans = {
            owner: _plan(model, coupling, owner, groups, image)
            for owner, groups in owned[widths].items()
        }
        unfit = misfits(model, plans, image)
        if not unfit:
            break
        blocks.keep_(unfit)
    for owner, groups in owned[widths].items():
        for block in _around(owner, plans, coupling):
            plan = _plan(model, coupling, block, groups, image)
            module = model.get_submodule(block)
            plan.residual = residual_of(module, plan)
            if plan.residual is not None:
                plan.whole = deepcopy(module).to('meta')
                del plans[owner]
                plans[block] = plan
                break
    declare_(model, plans)
    return Selection(widths, shares, reasons)


def _around(
    owner: str, owners: Collection[str], coupling: Coupling
) -> Iterator[str]:
    """Yield a module and those around it that contain no other owner.

    They are called with one map, and nothing else uses their layers.
    """
    others = [other for other in owners if other != owner]
    while owner and not any(is_inside(other, owner) for other in others):
        alone = all(
            owner in active
            for name, active in coupling.active.items()
            if is_inside(name, owner)
        )
        if alone and owner in coupling.inputs:
            yield owner
        owner = owner.rpartition('.')[0]


def _check_any(
    model: nn.Module,
    shares: Mapping[str, float],
    widths: str,
    reasons: Mapping[str, str],
) -> None:
    if shares[widths]:
        return
    first = '; '.join(f'{n}: {why}' for n, why in [*reasons.items()][:3])
    hint = ''
    if shares['all']:
        hint = f"; widths='all' could remove {shares['all']:.0%}"
    raise ValueError(
        f'{type(model).__name__} has no channels to search with '
        f'widths={widths!r}{hint}. Why layers keep theirs: {first}'
    )


def _plan(
    model: nn.Module,
    coupling: Coupling,
    owner: str,
    groups: Iterable[Group],
    inputs: tuple[Any, ...],
) -> Plan:
    """Return the plan of a module, by names relative to it."""
    cut = len(owner) + bool(owner)
    if owner:
        shape, _ = coupling.inputs[owner]
        dtype = next(model.parameters()).dtype
        inputs = (torch.empty(1, *shape, dtype=dtype, device='meta'),)
    numbers: dict[str, Tensor] = {}
    plan = Plan({}, {}, {}, inputs)
    places: dict[Place, None] = {}
    for group in groups:
        name = group.name[cut:]
        norms = tuple(norm[cut:] for norm in group.norms)
        modules = [model.get_submodule(place.module) for place in group.places]
        plan.units[name] = Channels(norms, f'k{max(map(_kernel, modules))}')
        numbers[name] = group.numbers
        places.update(dict.fromkeys(group.places))
    for place in places:
        segments = segments_of(coupling.places[place], numbers)
        assert segments is not None  # that of each group alone was seen
        plan.places[place._replace(module=place.module[cut:])] = segments
        layer = coupling.layers.get(TensorName(*place[:2]))
        if layer is not None:
            norm = layer.norm or ''
            inside = norm[cut:] if norm and is_inside(norm, owner) else None
            short = TensorName(place.module[cut:], place.tensor)
            plan.layers[short] = layer._replace(norm=inside)
    return plan


def _kernel(module: nn.Module) -> int:
    return max(getattr(module, 'kernel_size', None) or (1,))
