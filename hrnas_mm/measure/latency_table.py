"""Building a latency table: every part timed alone, then whole networks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..deploy.parts import (
    Repeated,
    onnx_of_each,
    part_alone,
    repeated_onnx,
)
from ..modules.deployed import Form, form_of
from ..search import CostModel, apply_architecture_
from ..search.architecture import Architecture
from ..search.budget import smallest
from ..search.latency_table import Conditions, Curve, LatencyTable
from ..search.units import Part, Size
from .calibration import calibrated, random_networks, unknown
from .latency_points import (
    STEPS,
    Point,
    best_step,
    kinds_of,
    points_of,
    step_points,
    stepped_part,
)
from .network_times import (
    NetworkTimes,
    Say,
    conditions_of,
    ready_networks,
    time_networks,
)
from .on_all_cores import on_all_cores
from .timers import Timer

COPIES = (1, 5)


@dataclass
class TableBuilder:
    """Measure the latency table of a supernet.

    Args:
        model: The supernet, in eval mode, on the CPU.
        cost_model: Its cost model, for the input shape.
        timer: What times networks.
        batch: Number of images.
        round: Number to whose multiples channels are rounded up; 'auto' for
            the one that is found to be the best.
        networks: Number of random networks to calibrate with.
        limit: Seconds for which a part or the networks are timed at most.
        say: Function that is told what is done now.
        few: Whether few numbers of elements of each unit are timed.
    """

    model: nn.Module
    cost_model: CostModel
    timer: Timer
    batch: int = 1
    round: int | str = 'auto'
    networks: int = 12
    limit: float = 3.0
    say: Say = field(default=lambda text: None)
    few: bool = False

    def __post_init__(self) -> None:
        if find_spec('scipy') is None:
            raise ModuleNotFoundError(
                "scipy is not installed: pip install 'hrnas_mm[deploy]'"
            )
        self._form(self.round)  # a wrong round is an error at once

    @property
    def steps(self) -> int:
        """Return how often ``say`` will be called while a table is built."""
        benches = len(kinds_of(self.cost_model)[1])
        benches += len(STEPS) * (self.round == 'auto')
        return 2 * benches + self.networks + 4

    def build(self) -> LatencyTable:
        """Measure everything, and return the table."""
        kinds, examples = kinds_of(self.cost_model)
        if self.round == 'auto':
            self.round = self._best_step(examples)
        step = self._form(self.round).step
        benches = {
            kind: self._bench(each, step, points_of(each[0], step, self.few))
            for kind, each in examples.items()
        }
        parts = self._ready_parts(benches)
        networks = {
            **random_networks(self.cost_model, self.networks),
            'supernet': dict(self.cost_model.supernet),
            'smallest': smallest(self.cost_model),
        }
        whole = self.ready(networks)
        curves = self._time_parts(benches, parts)
        times = self.time(whole)
        table = LatencyTable(
            self.conditions(),
            dict(self.cost_model.supernet),
            {name: tuple(keys) for name, keys in kinds.items()},
            curves,
            unknown(self.cost_model),
            times.reference,
        )
        return calibrated(table, self.cost_model, networks, times.networks)

    def conditions(self) -> Conditions:
        """Return what the table will be measured with."""
        return conditions_of(
            self.timer,
            self.cost_model.input_shape,
            self._form(self.round).step,
            self.batch,
        )

    def _form(self, step: int | str) -> Form:
        return form_of(self.timer.form, 'always', step, {})

    def _best_step(self, examples: Mapping[str, tuple[Part, Size]]) -> int:
        """Measure to which multiples channels are best rounded up."""
        example = stepped_part(examples)
        if example is None:
            return self._form('auto').step
        benches = {
            f'steps of {step}': self._bench(
                example, step, step_points(example[0], step)
            )
            for step in STEPS
        }
        curves = self._time_parts(benches, self._ready_parts(benches))
        only = (curve for found in curves.values() for curve in found.values())
        return best_step(dict(zip(STEPS, only)))

    def _bench(
        self,
        example: tuple[Part, Size],
        step: int,
        points: Iterable[Point],
    ) -> 'Bench':
        """Return all that is timed of a part, deployed."""
        points = list(points)
        found = [
            part_alone(self.model, *example, point.counts, self._form(step))
            for point in points
        ]
        modules = [module for module, _ in found]
        image = torch.randn(self.batch, *found[0][1])
        with torch.no_grad():
            chained = modules[0](image).shape == image.shape
        return Bench(points, modules, image, chained)

    def _ready_parts(
        self, benches: Mapping[str, 'Bench']
    ) -> dict[str, dict[str, Any]]:
        """Return copies of all points of each bench, ready to be timed."""
        found = {}
        models = self._exported(benches.values())
        for kind, bench in benches.items():
            self.say(f'preparing {kind}')
            found[kind] = {
                (name := _name(kind, point, copies)): self.timer.ready(
                    name,
                    partial(self._repeated, bench, model, copies),
                    bench.image,
                )
                for point, model in zip(bench.points, next(models))
                for copies in COPIES
            }
        return found

    def _time_parts(
        self,
        benches: Mapping[str, 'Bench'],
        parts: Mapping[str, Mapping[str, Any]],
    ) -> dict[str, dict[str, Curve]]:
        """Return the curves of each bench, of what was made ready."""
        curves = {}
        for kind, ready in parts.items():
            self.say(f'timing {kind}')
            times = self.timer.times(ready, self.limit, alone=False)
            curves[kind] = _curves(kind, benches[kind], times)
        return curves

    def _exported(self, benches: Iterable['Bench']) -> Iterator[Sequence[Any]]:
        """Yield the modules of each bench; if need be, as ONNX models."""
        if not self.timer.onnx:
            return (bench.modules for bench in benches)
        return on_all_cores(
            [
                partial(onnx_of_each, bench.modules, bench.image)
                for bench in benches
            ]
        )

    def _repeated(self, bench: 'Bench', model: Any, copies: int) -> Any:
        if self.timer.onnx:
            onnx = repeated_onnx(model, copies, bench.chained)
            return onnx.SerializeToString()
        return Repeated(model, copies, bench.chained).eval()

    def ready(self, networks: Mapping[str, Architecture]) -> dict[str, Any]:
        """Return whole networks, ready for :meth:`time`."""
        models = {}
        for name, architecture in networks.items():
            models[name] = deepcopy(self.model)
            apply_architecture_(models[name], architecture)
        return ready_networks(models, self.conditions(), self.timer, self.say)

    def time(self, ready: Mapping[str, Any]) -> NetworkTimes:
        """Return the milliseconds of what :meth:`ready` returned."""
        self.say('timing whole networks')
        return time_networks(ready, self.timer, 2 * self.limit)


class Bench(NamedTuple):
    """Hold what is timed of a part.

    Attributes:
        points: Numbers of elements.
        modules: The part with each of them, deployed.
        image: What the modules read.
        chained: See :class:`~hrnas_mm.deploy.parts.Repeated`.
    """

    points: Sequence[Point]
    modules: list[nn.Module]
    image: Tensor
    chained: bool


def _name(kind: str, point: Point, copies: int) -> str:
    return f'{kind} {point.unit} {point.elements} x{copies}'


def _curves(
    kind: str, bench: Bench, times: Mapping[str, float]
) -> dict[str, Curve]:
    """Return what one more copy of each point takes, by unit."""
    few, many = COPIES
    ms = [
        (times[_name(kind, point, many)] - times[_name(kind, point, few)])
        / (many - few)
        for point in bench.points
    ]
    curves: dict[str, list[tuple[int, float]]] = {}
    for point, taken in zip(bench.points, ms):
        alone = taken - ms[0] * point.beside
        curves.setdefault(point.unit, []).append((point.elements, alone))
    return {unit: _rising(found) for unit, found in curves.items()}


def _rising(points: Sequence[tuple[int, float]]) -> Curve:
    """Return the curve nearest to some times that never falls."""
    from scipy.optimize import isotonic_regression  # only here

    elements, times = zip(*sorted(points))
    fitted = isotonic_regression([max(ms, 0.0) for ms in times]).x
    return Curve(elements, tuple(round(float(ms), 6) for ms in fitted))
