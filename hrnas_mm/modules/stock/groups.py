"""Groups of channels that only go together, and why some have to stay."""

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...coupling import Coupling, Place, Source, TensorName
from .plan import Segment, segments_of


@dataclass(frozen=True, eq=False)
class Group:
    """Channels of a model that only go together.

    Attributes:
        numbers: Their numbers, ascending.
        places: Dimensions of tensors that they lie along.
        layer: Weight of the first layer that makes them.
        sources: Where the layers that read them get them from.
    """

    numbers: Tensor
    places: tuple[Place, ...]
    layer: TensorName
    sources: frozenset[Source]

    @property
    def name(self) -> str:
        """Return the name of the unit in the model: that of the layer."""
        return '.'.join(self.layer).removesuffix('.weight')

    @property
    def norms(self) -> tuple[str, ...]:
        """Return the norms that switch the channels off for all readers."""
        return tuple(sorted(s.name for s in self.sources if s.switches))


def groups_of(coupling: Coupling) -> list[Group]:
    """Return the groups that do not have to stay for what reads them."""
    places: dict[int, set[Place]] = defaultdict(set)
    for place, line in coupling.places.items():
        for i in set(line.tolist()) - {0}:
            places[i].add(place)
    together: dict[frozenset[Place], list[int]] = defaultdict(list)
    for i in sorted(places):
        together[frozenset(places[i])].append(i)
    order = {place: i for i, place in enumerate(coupling.places)}
    groups = []
    for found, numbers in together.items():
        ordered = tuple(sorted(found, key=order.__getitem__))
        makers = [TensorName(*p[:2]) for p in ordered if _makes(coupling, p)]
        if makers:
            sources = [coupling.sources.get(i, set()) for i in numbers]
            groups.append(
                Group(
                    torch.tensor(numbers),
                    ordered,
                    makers[0],
                    frozenset(set().union(*sources)),
                )
            )
    return groups


def _makes(coupling: Coupling, place: Place) -> bool:
    """Return whether a dense layer makes the channels along a dimension."""
    layer = coupling.layers.get(TensorName(*place[:2]))
    return (
        layer is not None
        and layer.inputs is not None
        and layer.outputs == place.dim
    )


def reason_to_stay(
    model: nn.Module, coupling: Coupling, group: Group
) -> str | None:
    """Return why a group cannot be a search unit, or None if it can."""
    own = {'own': group.numbers}
    if len(group.numbers) < 2:
        return 'it is a single channel'
    if not group.sources:
        return 'no layer reads it'
    live = sorted(s.name for s in group.sources if not s.switches)
    if live:
        return f'{live[0] or "what is read"} has no batch norm behind it'
    for place in group.places:
        if segments_of(coupling.places[place], own) is None:
            return f'{place.module} has its channels in another order'
    for norm in group.norms:
        line = coupling.places[Place(norm, 'weight', 0)]
        if segments_of(line, own) != (Segment('own', 1),):
            return f'{norm} also normalises other channels'
    for place in group.places:
        tensor = getattr(model.get_submodule(place.module), place.tensor)
        if isinstance(tensor, nn.Parameter) and not tensor.requires_grad:
            return f'{place.module} is frozen'
    return None
