"""Timing one part of a supernet, with several numbers of elements."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..modules.deployed import Form
from ..runtimes.timers import Timer
from ..search.units import Part, Size
from .on_all_cores import on_all_cores
from .points import Point
from .repeated import Repeated, onnx_of_each, part_alone, repeated_onnx
from .table import Curve

COPIES = (1, 5)

Report = Callable[[str], None]


class Bench(NamedTuple):
    """Hold what is timed of a part.

    Attributes:
        name: A name that no other bench has.
        points: Numbers of elements.
        modules: The part with each of them, deployed.
        images: What each of the modules reads.
        chained: See :class:`~hrnas_mm.latency.repeated.Repeated`.
    """

    name: str
    points: Sequence[Point]
    modules: list[nn.Module]
    images: list[Tensor]
    chained: bool

    def onnx(self) -> list[Any]:
        """Return the modules as ONNX models."""
        return onnx_of_each(self.modules, self.images)

    def ready(self, timer: Timer, models: Iterable[Any]) -> dict[str, Any]:
        """Return copies of all points, ready to be timed.

        Args:
            timer: What will time them.
            models: The modules, or what :meth:`onnx` returned.
        """
        return {
            (name := self._name(point, copies)): timer.ready(
                name,
                partial(_repeated, timer.onnx, model, copies, self.chained),
                image,
            )
            for point, model, image in zip(self.points, models, self.images)
            for copies in COPIES
        }

    def ms(self, times: Mapping[str, float]) -> list[float]:
        """Return what one more copy of each point takes."""
        few, many = COPIES
        return [
            (times[self._name(point, many)] - times[self._name(point, few)])
            / (many - few)
            for point in self.points
        ]

    def curves(self, times: Mapping[str, float]) -> dict[str, Curve]:
        """Return what one more copy of each point takes, by unit."""
        ms = self.ms(times)
        curves: dict[str, list[tuple[int, float]]] = {}
        for point, taken in zip(self.points, ms):
            alone = taken - ms[0] * point.with_first
            curves.setdefault(point.unit, []).append((point.elements, alone))
        return {unit: _rising(found) for unit, found in curves.items()}

    def _name(self, point: Point, copies: int) -> str:
        return f'{self.name} {point.unit} {point.elements} x{copies}'


def bench_of(
    name: str,
    model: nn.Module,
    example: tuple[Part, Size],
    form: Form,
    points: Iterable[Point],
    batch: int,
) -> Bench:
    """Return all that is timed of a part of a supernet, deployed.

    Args:
        name: A name that no other bench has.
        model: The supernet.
        example: The part, and the height and width of what it reads.
        form: Form that it is deployed in.
        points: Numbers of elements.
        batch: Number of images.
    """
    points = list(points)
    found = [part_alone(model, *example, p.counts, form) for p in points]
    modules = [module for module, _ in found]
    images = [torch.randn(batch, *shape) for _, shape in found]
    return bench_of_modules(name, points, modules, images)


@torch.no_grad()
def bench_of_modules(
    name: str,
    points: Sequence[Point],
    modules: list[nn.Module],
    images: list[Tensor],
) -> Bench:
    """Return a bench of modules, which are chained if all can be."""
    chained = all(
        module(image).shape == image.shape
        for module, image in zip(modules, images)
    )
    return Bench(name, points, modules, images, chained)


def _repeated(onnx: bool, model: Any, copies: int, chained: bool) -> Any:
    if onnx:
        return repeated_onnx(model, copies, chained).SerializeToString()
    return Repeated(model, copies, chained).eval()


def _rising(points: Sequence[tuple[int, float]]) -> Curve:
    """Return the curve nearest to some times that never falls."""
    from scipy.optimize import isotonic_regression  # only here

    elements, times = zip(*sorted(points))
    fitted = isotonic_regression([max(ms, 0.0) for ms in times]).x
    return Curve(elements, tuple(round(float(ms), 6) for ms in fitted))


def ready_benches(
    benches: Sequence[Bench], timer: Timer, report: Report
) -> list[dict[str, Any]]:
    """Return what each bench will time; :func:`time_benches` times it."""
    models: Iterator[Any] = (bench.modules for bench in benches)
    if timer.onnx:
        models = on_all_cores([bench.onnx for bench in benches])
    found = []
    for bench in benches:
        report(f'preparing {bench.name}')
        found.append(bench.ready(timer, next(models)))
    return found


def time_benches(
    benches: Sequence[Bench],
    ready: Sequence[Mapping[str, Any]],
    timer: Timer,
    limit: float,
    report: Report,
) -> list[dict[str, float]]:
    """Return the times of each bench, one bench after the other.

    Args:
        benches: What is timed.
        ready: What :func:`ready_benches` returned.
        timer: What times it.
        limit: Seconds for which each is timed at most.
        report: Function that is told of each step before it is taken.
    """
    found = []
    for bench, each in zip(benches, ready):
        report(f'timing {bench.name}')
        found.append(timer.times(each, limit, warm=False))
    return found
