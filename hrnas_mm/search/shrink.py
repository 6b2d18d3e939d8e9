"""Removing dead elements: select them, then slice everything they own."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .chains import chains_of, settled
from .modes import in_mode
from .optimizer import check_optimizer, forget_, slice_state_
from .ranking import Keep, Ranking
from .units import Axis, SearchUnit, named_search_units, named_searchables


def importances(models: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Return the importance of every element: the largest abs(alpha).

    Of several importance factors of an element, it is the root mean square.

    Args:
        models: Copies of one network, for example the model and its EMA copy.

    Returns:
        Importance of the elements by unit name, on the CPU.

    Raises:
        ValueError: If an importance factor is not finite; the error names its
            unit.
    """
    found: dict[str, Tensor] = {}
    for units in map(named_search_units, models):
        for name, unit in units.items():
            alpha = unit.alpha.detach().float().cpu()
            if unit.others:
                scales = [s.detach().float().cpu() for s in unit.scales]
                alpha = torch.stack(scales).square().mean(0).sqrt()
            if not torch.isfinite(alpha).all():
                raise ValueError(
                    f'importance factors of {name} must be finite, got '
                    f'{alpha[~torch.isfinite(alpha)][0].item()}'
                )
            value = alpha.abs()
            found[name] = torch.maximum(value, found.get(name, value))
    return found


def select_alive(models: Sequence[nn.Module], threshold: float) -> Keep:
    """Select the elements to keep: those alive in any of the models.

    Args:
        models: Copies of one network, for example the model and its EMA copy.
        threshold: Elements are alive if their abs(alpha) is at least this.

    Returns:
        Indices of the kept elements, ascending, by unit name.

    Raises:
        ValueError: If an importance factor is not finite.
    """
    ranking = Ranking.by_threshold(importances(models), threshold)
    units = named_search_units(models[0])
    ranking = ranking.sparing({n: unit.least for n, unit in units.items()})
    return ranking.best(settled(ranking.alive, chains_of(models[0])))


def shrink_(
    model: nn.Module,
    keep: Mapping[str, Tensor],
    optimizer: Optimizer | None = None,
) -> None:
    """Remove all elements that are not kept, in place.

    Parameters keep their identity and the optimizer its parameter groups.
    What dead elements still contribute is folded into the layer that follows.
    A path without elements is deleted, and its parameters leave the optimizer.
    Units that are chained with one that loses all of its elements do so, too.

    Args:
        model: Network to shrink.
        keep: Indices of the kept elements by unit name; units not named stay
            whole.
        optimizer: Optimizer of the model's parameters; its state is sliced
            too.

    Raises:
        ValueError: If no element at all would be left, or a name or an index
            does not exist. Nothing has been changed in this case.
        TypeError: If the optimizer's state cannot be sliced.
    """
    units = named_search_units(model)
    counts = {n: len(keep.get(n, unit.alpha)) for n, unit in units.items()}
    counts = settled(counts, chains_of(model))
    _check_keep(units, keep, counts)
    changed = {
        name: index.to(units[name].alpha.device)
        for name, index in keep.items()
        if len(index) < len(units[name])
    }
    gone = {
        name: torch.arange(0, device=units[name].alpha.device)
        for name, count in counts.items()
        if count == 0
    }
    axes = _axes_to_slice(units, {**changed, **gone})
    if optimizer is not None:
        check_optimizer(optimizer, (axis.tensor for axis, _ in axes))

    before = list(model.parameters())
    with torch.no_grad():
        for name, index in changed.items():
            _absorb(units[name], index)
        for axis, index in axes:
            _slice_(axis, index, optimizer)
    for module in {id(axis.module): axis.module for axis, _ in axes}.values():
        refresh_sizes_(module)
    with in_mode(model, training=True):  # shows which norms are trained
        for _, searchable in named_searchables(model):
            searchable.drop_empty_()
    if optimizer is not None:
        forget_(optimizer, before, model.parameters())


def _axes_to_slice(
    units: Mapping[str, SearchUnit], keep: Mapping[str, Tensor]
) -> list[tuple[Axis, Tensor]]:
    """Return every axis once, with the slots of it that stay.

    Behind a concatenation, elements of several units lie along one axis.
    """
    found: list[tuple[Axis, Tensor]] = []
    shared: dict[tuple[int, str, int], tuple[Axis, list[Tensor]]] = {}
    for name, index in keep.items():
        for axis in units[name].axes:
            if axis.slots is None:
                found.append((axis, index))
                continue
            gone = torch.ones(len(units[name]), dtype=torch.bool)
            gone[index.cpu()] = False
            key = id(axis.module), axis.name, axis.dim
            shared.setdefault(key, (axis, []))[1].append(axis.slots[gone])
    for axis, slots in shared.values():
        stays = axis.tensor.new_ones(
            axis.tensor.shape[axis.dim], dtype=torch.bool
        )
        stays[torch.cat([each.flatten() for each in slots])] = False
        found.append((axis, stays.nonzero().flatten()))
    return found


def _check_keep(
    units: Mapping[str, SearchUnit],
    keep: Mapping[str, Tensor],
    counts: Mapping[str, int],
) -> None:
    for name, index in keep.items():
        if name not in units:
            raise ValueError(f'there is no search unit {name!r}')
        if len(index) < units[name].least:
            raise ValueError(
                f'{name} must keep at least {units[name].least} of its '
                f'elements, got {len(index)}'
            )
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(
            units[name]
        ):
            raise ValueError(
                f'{name} has {len(units[name])} elements, got indices '
                f'{int(index.min())} to {int(index.max())}'
            )
    if not any(counts.values()):
        raise ValueError('every element of every search unit would be removed')


def _absorb(unit: SearchUnit, index: Tensor) -> None:
    if unit.absorb is None:
        return
    dead = torch.ones(len(unit), dtype=torch.bool, device=index.device)
    dead[index] = False
    unit.absorb(dead.nonzero().flatten())


def _slice_(axis: Axis, index: Tensor, optimizer: Optimizer | None) -> None:
    tensor = axis.tensor
    if not isinstance(tensor, nn.Parameter):
        setattr(axis.module, axis.name, tensor.index_select(axis.dim, index))
        return
    if optimizer is not None:
        slice_state_(
            optimizer, tensor, lambda t: t.index_select(axis.dim, index)
        )
    _replace_(tensor, tensor.data.index_select(axis.dim, index))


def _replace_(param: nn.Parameter, data: Tensor) -> None:
    """Give a parameter new data of another shape, in place.

    It keeps its identity, which optimizers, hooks and parameter groups refer
    to.
    """
    # An autograd graph that still exists, of the last loss for example, keeps
    # the node that accumulates the parameter's gradient, and with it the old
    # shape. A change of dtype makes torch forget that node.
    other = torch.float16 if data.dtype != torch.float16 else torch.float32
    param.data = data.new_empty(0, dtype=other)
    param.data = data
    param.grad = None


def refresh_sizes_(module: nn.Module, depthwise: bool | None = None) -> None:
    """Set the size attributes of a layer from the shapes of its tensors.

    Args:
        module: The layer.
        depthwise: Whether it is a depthwise convolution; None if its present
            attributes say so. Those of a single channel do not.
    """
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        out_channels, in_channels = module.weight.shape[:2]
        if depthwise is None:
            widths = module.in_channels, module.out_channels
            depthwise = (module.groups,) * 2 == widths
        if depthwise:
            module.groups = in_channels = out_channels
        module.in_channels, module.out_channels = in_channels, out_channels
    elif isinstance(module, nn.modules.conv._ConvTransposeNd):
        module.in_channels, module.out_channels = module.weight.shape[:2]
        if depthwise or module.groups > 1:
            module.groups = module.out_channels = module.in_channels
    elif isinstance(module, nn.modules.batchnorm._BatchNorm):
        module.num_features = len(module.weight)
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
