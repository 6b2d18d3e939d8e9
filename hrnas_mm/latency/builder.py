"""Building a latency table: every part timed alone, then whole networks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from torch import nn

from ..modules.deployed import Form, form_of
from ..modules.stock import SearchableChannels
from ..runtimes.timers import Timer
from ..search import CostModel, apply_architecture_
from ..search.architecture import Architecture
from ..search.cost import REPORTED
from ..search.units import Part, Size
from .bench import Bench, bench_of
from .calibration import (
    calibrated,
    nearly_empty,
    random_networks,
    unknown,
)
from .networks import (
    NetworkTimes,
    Report,
    conditions_of,
    ready_networks,
    time_networks,
)
from .on_all_cores import on_all_cores
from .points import Point, kinds_of, points_of
from .steps import STEPS, best_step, step_points, stepped_part
from .table import Conditions, Curve, LatencyTable


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
        report: Function that is told what is done now.
        few: Whether few numbers of elements of each unit are timed; if None,
            they are if the timer is slow.
    """

    model: nn.Module
    cost_model: CostModel
    timer: Timer
    batch: int = 1
    round: int | str = 'auto'
    networks: int = 12
    limit: float = 3.0
    report: Report = field(default=lambda text: None)
    few: bool | None = None

    def __post_init__(self) -> None:
        if find_spec('scipy') is None:
            raise ModuleNotFoundError(
                "scipy is not installed: pip install 'hrnas_mm[deploy]'"
            )
        stock = [
            name
            for name, module in self.model.named_modules()
            if isinstance(module, SearchableChannels) and module.is_network
        ]
        if stock:
            raise ValueError(
                'a table of milliseconds has times of blocks, and '
                f'{stock[0] or "the model"} is searched as one: take '
                "widths='blocks', or give budgets in multiply-adds or params"
            )
        self._form(self.round)  # a wrong round is an error at once

    @property
    def steps(self) -> int:
        """Return how often ``report`` is called while a table is built."""
        benches = len(kinds_of(self.cost_model)[1])
        benches += len(STEPS) * (self.round == 'auto')
        return 2 * benches + self.networks + 4

    def build(self) -> LatencyTable:
        """Measure everything, and return the table."""
        self.settle_round_()
        kinds, examples = kinds_of(self.cost_model)
        form = self._form(self.round)
        few = self.timer.slow if self.few is None else self.few
        benches = [
            self._bench(kind, each, form, points_of(each[0], form, few))
            for kind, each in examples.items()
        ]
        parts = self._ready_parts(benches)
        networks = {
            **random_networks(self.cost_model, self.networks),
            'supernet': dict(self.cost_model.supernet),
            'nearly empty': nearly_empty(self.cost_model),
        }
        whole = self.ready(networks)
        curves = self._time_parts(benches, parts)
        times = self.time(whole)
        table = LatencyTable(
            self.conditions(),
            dict(self.cost_model.supernet),
            self.cost_model.totals(self.cost_model.supernet, REPORTED),
            {name: tuple(keys) for name, keys in kinds.items()},
            curves,
            unknown(self.cost_model),
            times.reference,
            self.cost_model.layers,
        )
        return calibrated(table, self.cost_model, networks, times.networks)

    def settle_round_(self) -> None:
        """Find the best step of channels, unless it is known."""
        if self.round == 'auto':
            self.round = self._best_step(kinds_of(self.cost_model)[1])

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
        example = stepped_part(examples, self._form('auto'))
        if example is None:
            return self._form('auto').step
        benches = [
            self._bench(
                f'steps of {step}',
                example,
                self._form(step),
                step_points(example[0], self._form(step)),
            )
            for step in STEPS
        ]
        curves = self._time_parts(benches, self._ready_parts(benches))
        only = (curve for found in curves.values() for curve in found.values())
        return best_step(dict(zip(STEPS, only)))

    def _bench(
        self,
        name: str,
        example: tuple[Part, Size],
        form: Form,
        points: Iterable[Point],
    ) -> Bench:
        return bench_of(name, self.model, example, form, points, self.batch)

    def _ready_parts(self, benches: Sequence[Bench]) -> list[dict[str, Any]]:
        """Return what each bench will time."""
        models: Iterator[Any] = (bench.modules for bench in benches)
        if self.timer.onnx:
            models = on_all_cores([bench.onnx for bench in benches])
        found = []
        for bench in benches:
            self.report(f'preparing {bench.name}')
            found.append(bench.ready(self.timer, next(models)))
        return found

    def _time_parts(
        self, benches: Sequence[Bench], parts: Sequence[Mapping[str, Any]]
    ) -> dict[str, dict[str, Curve]]:
        """Return the curves of each bench, of what was made ready."""
        curves = {}
        for bench, ready in zip(benches, parts):
            self.report(f'timing {bench.name}')
            times = self.timer.times(ready, self.limit, warm=False)
            curves[bench.name] = bench.curves(times)
        return curves

    def ready(self, networks: Mapping[str, Architecture]) -> dict[str, Any]:
        """Return whole networks, ready for :meth:`time`."""
        models = {}
        for name, architecture in networks.items():
            models[name] = deepcopy(self.model)
            apply_architecture_(models[name], architecture)
        return ready_networks(
            models, self.conditions(), self.timer, self.report
        )

    def time(self, ready: Mapping[str, Any]) -> NetworkTimes:
        """Return the milliseconds of what :meth:`ready` returned."""
        self.report('timing whole networks')
        return time_networks(ready, self.timer, 2 * self.limit)
