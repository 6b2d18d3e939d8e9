"""Building a latency table: every part timed alone, then whole networks."""

import datetime
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..deploy import DeployableModel
from ..deploy.parts import (
    Repeated,
    onnx_of_each,
    part_alone,
    repeated_onnx,
)
from ..modules.deployed import form_of
from ..search import CostModel, apply_architecture_
from ..search.architecture import Architecture
from ..search.budget import smallest
from ..search.latency_table import Conditions, Curve, LatencyTable
from ..search.units import Part, Size
from .calibration import calibrated, random_networks, unknown
from .latency_points import Point, kinds_of, points_of
from .on_all_cores import on_all_cores
from .runtimes import FORM, RUN, RUN_ONNX, onnx_bytes
from .stopwatch import Call, settled

COPIES = (1, 5)

Say = Callable[[str], None]


@dataclass
class TableBuilder:
    """Measure the latency table of a supernet.

    Args:
        model: The supernet, in eval mode, on the CPU.
        cost_model: Its cost model, for the input shape.
        backend: One of :data:`~hrnas_mm.measure.RUN`.
        batch: Number of images.
        round: Number to whose multiples channels are rounded up.
        networks: Number of random networks to calibrate with.
        limit: Seconds for which a part or the networks are timed at most.
        say: Function that is told what is done now.
    """

    model: nn.Module
    cost_model: CostModel
    backend: str
    batch: int = 1
    round: int | str = 'auto'
    networks: int = 12
    limit: float = 3.0
    say: Say = field(default=lambda text: None)

    def __post_init__(self) -> None:
        if find_spec('scipy') is None:
            raise ModuleNotFoundError(
                "scipy is not installed: pip install 'hrnas_mm[deploy]'"
            )
        self.form = form_of(FORM[self.backend], 'always', self.round, {})

    @property
    def steps(self) -> int:
        """Return how often ``say`` will be called while a table is built."""
        return 2 * len(kinds_of(self.cost_model)[1]) + self.networks + 3

    def build(self) -> LatencyTable:
        """Measure everything, and return the table."""
        kinds, examples = kinds_of(self.cost_model)
        benches = {kind: self._bench(*each) for kind, each in examples.items()}
        exports = self._exported(list(benches.values()))
        runs = {}
        for kind, bench in benches.items():
            self.say(f'preparing {kind}')
            runs[kind] = bench, next(exports)
        curves = {}
        for kind, (bench, models) in runs.items():
            self.say(f'timing {kind}')
            curves[kind] = self._curves(bench, models)
        table = LatencyTable(
            self.conditions(),
            dict(self.cost_model.supernet),
            {name: tuple(keys) for name, keys in kinds.items()},
            curves,
            unknown(self.cost_model),
        )
        networks = random_networks(self.cost_model, self.networks)
        networks += [dict(self.cost_model.supernet), smallest(self.cost_model)]
        times = self.time(networks)
        return calibrated(table, self.cost_model, networks, times)

    def conditions(self) -> Conditions:
        """Return what the table will be measured with."""
        package = self.backend if self.backend in RUN_ONNX else 'torch'
        return Conditions(
            backend=self.backend,
            form=FORM[self.backend],
            round=self.form.step,
            device=processor(),
            version=version(package),
            threads=torch.get_num_threads(),
            dtype='float32',
            batch=self.batch,
            input_shape=tuple(self.cost_model.input_shape),
            created=datetime.date.today().isoformat(),
        )

    def _bench(self, part: Part, size: Size) -> 'Bench':
        """Return all that is timed of a part, deployed."""
        points = list(points_of(part, self.form.step))
        found = [
            part_alone(self.model, part, size, point.counts, self.form)
            for point in points
        ]
        modules = [module for module, _ in found]
        image = torch.randn(self.batch, *found[0][1])
        with torch.no_grad():
            chained = modules[0](image).shape == image.shape
        return Bench(points, modules, image, chained)

    def _exported(self, benches: Sequence['Bench']) -> Iterator[list[Any]]:
        """Yield the modules of each bench; where it needs ONNX, as that."""
        if self.backend not in RUN_ONNX:
            return (bench.modules for bench in benches)
        return on_all_cores(
            [
                partial(onnx_of_each, bench.modules, bench.image)
                for bench in benches
            ]
        )

    def _curves(self, bench: 'Bench', models: list[Any]) -> dict[str, Curve]:
        """Time copies of each point; what one more takes is what it takes."""
        calls = {
            (i, copies): self._call(bench, model, copies)
            for i, model in enumerate(models)
            for copies in COPIES
        }
        with torch.no_grad():
            times = settled(calls, bench.image.device, self.limit)
        few, many = COPIES
        curves: dict[str, list[tuple[int, float]]] = {}
        for i, point in enumerate(bench.points):
            ms = 1e3 * (times[i, many] - times[i, few]) / (many - few)
            curves.setdefault(point.unit, []).append((point.elements, ms))
        return {unit: _rising(found) for unit, found in curves.items()}

    def _call(self, bench: 'Bench', model: Any, copies: int) -> Call:
        if self.backend in RUN_ONNX:
            onnx = repeated_onnx(model, copies, bench.chained)
            content = onnx.SerializeToString()
            return RUN_ONNX[self.backend](content, bench.image)
        several = Repeated(model, copies, bench.chained).eval()
        return RUN[self.backend](several, bench.image)

    def time(self, networks: Iterable[Architecture]) -> list[float]:
        """Return the milliseconds of whole networks, timed in turns."""
        return time_networks(
            map(self._network, networks),
            self.conditions(),
            3 * self.limit,
            self.say,
        )

    def _network(self, architecture: Architecture) -> nn.Module:
        model = deepcopy(self.model)
        apply_architecture_(model, architecture)
        return model


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


def time_networks(
    models: Iterable[nn.Module],
    conditions: Conditions,
    limit: float = 10.0,
    say: Say = lambda text: None,
) -> list[float]:
    """Return the milliseconds of networks, deployed and timed in turns.

    Args:
        models: Networks as they are trained, on the CPU.
        conditions: How they are deployed and run; the number of threads is
            torch's for the time being.
        limit: Seconds after which no further turns are taken.
        say: Function that is told of each step before it is taken.
    """
    form, shape = conditions.form, conditions.input_shape
    backend = conditions.backend
    image = torch.randn(conditions.batch, *shape)
    deployed: list[Any] = [
        DeployableModel(
            model, form, round=conditions.round, input_shape=shape
        ).eval()
        for model in models
    ]
    run: Any = RUN[backend]
    prepared: Iterator[Any] = iter(deployed)
    if backend in RUN_ONNX:
        run = RUN_ONNX[backend]
        prepared = on_all_cores(
            [partial(onnx_bytes, model, image) for model in deployed]
        )
    calls: dict[int, Call] = {}
    for i in range(len(deployed)):
        say(f'preparing network {i + 1}')
        calls[i] = run(next(prepared), image)
    say('timing whole networks')
    with torch.no_grad():
        times = settled(calls, image.device, limit)
    return [1e3 * seconds for seconds in times.values()]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch, and runtimes started within, use a number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _rising(points: Sequence[tuple[int, float]]) -> Curve:
    """Return the curve nearest to some times that never falls."""
    from scipy.optimize import isotonic_regression  # only here

    elements, times = zip(*sorted(points))
    fitted = isotonic_regression([max(ms, 0.0) for ms in times]).x
    return Curve(elements, tuple(round(float(ms), 6) for ms in fitted))


def processor() -> str:
    """Return the name of the CPU."""
    try:
        with open('/proc/cpuinfo') as file:
            for line in file:
                if line.startswith('model name'):
                    return line.split(':', 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
