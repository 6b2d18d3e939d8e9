"""Timing the layers of stock networks, as they are at several widths."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..search.architecture import Architecture
from ..search.units import Part, join
from .bench import Bench, bench_of_modules
from .layers import WHOLE, layers_in
from .points import Point
from .table import Curve

Call = tuple[nn.Module, torch.Size]
Calls = Mapping[str, Sequence[Call]]
LAYER = 'layer'  # the unit's name in a bench


class LayerBenches(NamedTuple):
    """Hold what is timed of stock networks.

    Attributes:
        benches: A bench for each kind of layer.
        names: Names of the benches of each layer, one per call, by the key of
            its part and by its name in the part.
    """

    benches: list[Bench]
    names: Mapping[str, Mapping[str, Sequence[str]]]

    def curves(
        self, key: str, timed: Mapping[str, Mapping[str, Curve]]
    ) -> dict[str, Curve]:
        """Return the curve of each layer of a part, all calls added up.

        Args:
            key: Key of the part.
            timed: Curves by the name of the bench.
        """
        return {
            layer: _sum([timed[name][LAYER] for name in names])
            for layer, names in self.names.get(key, {}).items()
        }


def layer_benches(
    parts: Mapping[str, Part],
    widths: Sequence[Architecture],
    step: int,
    deployed: Callable[[Architecture], nn.Module],
    image: Tensor,
) -> LayerBenches:
    """Return all that is timed of stock networks, deployed at several widths.

    A layer is timed with what else is in a module of its own, such as an
    activation.

    Args:
        parts: Parts of the model, by any keys.
        widths: Numbers of elements at several widths, the full ones last.
        step: Number to whose multiples channels are rounded up.
        deployed: Function that returns the model with some numbers of
            elements, deployed.
        image: What the model reads.
    """
    layers = {
        (key, layer.name): (join(part.name, layer.name), layer)
        for key, part in parts.items()
        for layer in layers_in(part)
    }
    if not layers:
        return LayerBenches([], {})
    networks = [deployed(counts) for counts in widths]
    used = [name for name, layer in layers.values() if layer.facts.is_used]
    around = _modules_around(used, networks[-1], image)
    calls = [_calls(each, around.values(), image) for each in networks]
    benches: dict[str, Bench] = {}
    names: Any = defaultdict(lambda: defaultdict(list))
    for (key, short), (full_name, layer) in layers.items():
        if full_name not in around:
            names[key][short] = []
            continue
        shares = [layer.share(counts, step) for counts in widths]
        rising = _rising(shares)
        points = [Point(LAYER, shares[i], {}) for i in rising]
        for called in zip(*(calls[i][around[full_name]] for i in rising)):
            alike = f'{points} {[(_facts(m), shape) for m, shape in called]}'
            if alike not in benches:
                benches[alike] = bench_of_modules(
                    f'layer {len(benches) + 1}, {layer.kind}',
                    points,
                    [module for module, _ in called],
                    [torch.randn(shape) for _, shape in called],
                )
            names[key][short].append(benches[alike].name)
    return LayerBenches([*benches.values()], names)


def _facts(module: nn.Module) -> str:
    """Return what two modules have in common if they take the same time."""
    plain = (bool, int, float, str, tuple, type(None))
    return str(
        [module]
        + [
            {k: v for k, v in vars(each).items() if isinstance(v, plain)}
            for each in module.modules()
        ]
    )


def _rising(numbers: Sequence[int]) -> list[int]:
    """Return the places of numbers that are above all before."""
    before = accumulate([0, *numbers], max)
    return [i for i, (n, most) in enumerate(zip(numbers, before)) if n > most]


def _modules_around(
    layers: Sequence[str], model: nn.Module, image: Tensor
) -> dict[str, str]:
    """Return the module that is timed of each layer, by their names.

    It is the outermost one that has no other layer, and that is called as
    often as the layer, with one map.

    Raises:
        ValueError: If a layer cannot be timed.
    """
    around = {
        layer: [name for name in _owners(layer) if _is_alone(model, name)]
        for layer in layers
    }
    names = {name for each in around.values() for name in each}
    calls = _calls(model, names, image)
    found = {}
    for layer, each in around.items():
        often = len(calls[layer])
        fit = [n for n in each if len(calls[n]) == often and all(calls[n])]
        if not often or not fit:
            raise ValueError(
                f'{layer} must be called as a module, with one map and '
                'nothing else, to be timed'
            )
        found[layer] = fit[0]
    return found


def _owners(layer: str) -> Iterator[str]:
    """Yield the names of modules that a layer is in, the outermost first."""
    return accumulate(layer.split('.'), join)


def _is_alone(model: nn.Module, name: str) -> bool:
    weights = model.get_submodule(name).parameters()
    return sum(weight.dim() > 1 for weight in weights) == 1


@torch.no_grad()
def _calls(model: nn.Module, names: Iterable[str], image: Tensor) -> Calls:
    """Return the calls of modules in a call of the model.

    Of a call with anything but one map, or that returns anything else,
    nothing is known: it is (). Each module is deployed as it was called.
    """
    found: dict[str, list[Any]] = {name: [] for name in names}

    def record(name: str) -> Callable[..., None]:
        def hook(module: Any, args: Any, kwargs: Any, out: Any) -> None:
            maps = (*args, *kwargs.values(), out)
            fits = len(args) == 1 and len(maps) == 2
            fits = fits and all(isinstance(each, Tensor) for each in maps)
            found[name].append((module, args[0].shape) if fits else ())

        return hook

    hooks = [
        model.get_submodule(name).register_forward_hook(
            record(name), with_kwargs=True
        )
        for name in found
    ]
    model(image)
    for hook in hooks:
        hook.remove()
    return found


def _sum(curves: Sequence[Curve]) -> Curve:
    """Return the sum of curves with the same points; 0 ms without any."""
    if not curves:
        return Curve((WHOLE,), (0.0,))
    ms = map(sum, zip(*(curve.ms for curve in curves)))
    return Curve(curves[0].elements, tuple(ms))
