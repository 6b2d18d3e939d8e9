"""Building a latency table: every part timed alone, then whole networks."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from ..modules.deployed import Form, form_of
from ..runtimes.timers import Timer
from ..search import CostModel, apply_architecture_
from ..search.architecture import Architecture
from ..search.cost import REPORTED
from ..search.units import Part, Size
from .bench import Bench, Report, bench_of, ready_benches, time_benches
from .calibration import (
    calibrated,
    nearly_empty,
    random_networks,
    unknown,
)
from .layer_benches import LayerBenches, layer_benches
from .networks import (
    NetworkTimes,
    conditions_of,
    deployed_as,
    ready_networks,
    time_networks,
)
from .points import Point, kinds_of, points_of, widths_of
from .steps import (
    STEPPED_NETWORKS,
    STEPS,
    best_step,
    mean_ms,
    step_points,
    stepped_part,
)
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
        self._form(self.round)  # a wrong round is an error at once
        self._benches = len(kinds_of(self.cost_model)[1])
        self._of_steps = self._reports_of_steps()

    @property
    def steps(self) -> int:
        """Return how often ``report`` is called while a table is built.

        For a stock network it is too low until ``build`` has deployed it, and
        knows its kinds of layers.
        """
        return 2 * self._benches + self.networks + 4 + self._of_steps

    def build(self) -> LatencyTable:
        """Measure everything, and return the table."""
        self.settle_round_()
        kinds, examples = kinds_of(self.cost_model)
        form, few = self._form(self.round), self._few
        points = {
            kind: list(points_of(part, form, few))
            for kind, (part, _) in examples.items()
        }
        layers = self._layers({k: part for k, (part, _) in examples.items()})
        benches = layers.benches + [
            self._bench(kind, examples[kind], form, each)
            for kind, each in points.items()
            if each
        ]
        self._benches = len(benches)
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
            {
                kind: layers.curves(kind, curves) | curves.get(kind, {})
                for kind in examples
            },
            unknown(self.cost_model),
            times.reference,
            self.cost_model.layers,
        )
        return calibrated(table, self.cost_model, networks, times.networks)

    def settle_round_(self) -> None:
        """Find the best step of channels, unless it is known."""
        if self.round != 'auto':
            return
        example = self._stepped
        if example is not None:
            self.round = best_step(self._ms_of_steps(example))
        elif self._widths(self._form('auto')):
            self.round = best_step(self._ms_of_stepped_networks())
        else:
            self.round = self._form('auto').step

    def conditions(self, round: int | str | None = None) -> Conditions:
        """Return what the table will be measured with."""
        return conditions_of(
            self.timer,
            self.cost_model.input_shape,
            self._form(round or self.round).step,
            self.batch,
        )

    def _form(self, step: int | str) -> Form:
        return form_of(self.timer.form, 'always', step, {})

    @property
    def _few(self) -> bool:
        return self.timer.slow if self.few is None else self.few

    @property
    def _stepped(self) -> tuple[Part, Size] | None:
        examples = kinds_of(self.cost_model)[1]
        return stepped_part(examples, self._form('auto'))

    def _reports_of_steps(self) -> int:
        if self.round != 'auto':
            return 0
        if self._stepped is not None:
            return 2 * len(STEPS)
        if self._widths(self._form('auto')):
            return len(STEPS) * (STEPPED_NETWORKS + 1) + 1
        return 0

    def _widths(self, form: Form) -> list[Architecture]:
        return widths_of(self.cost_model, form, self._few)

    def _ms_of_steps(self, example: tuple[Part, Size]) -> dict[int, float]:
        """Return what a part takes, its channels rounded up to each step."""
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
        return mean_ms(dict(zip(STEPS, only)))

    def _ms_of_stepped_networks(self) -> dict[int, float]:
        """Return what networks take, their channels rounded to each step."""
        networks = random_networks(self.cost_model, STEPPED_NETWORKS)
        ready: dict[str, Any] = {}
        for step in STEPS:
            named = {
                f'{name}, steps of {step}': each
                for name, each in networks.items()
            }
            ready |= self.ready(named, step)
        ms = self.time(ready).networks
        n = len(networks)
        return {
            step: sum(ms[i * n : (i + 1) * n]) for i, step in enumerate(STEPS)
        }

    def _layers(self, parts: Mapping[str, Part]) -> LayerBenches:
        conditions = self.conditions()
        return layer_benches(
            parts,
            self._widths(self._form(self.round)),
            conditions.round,
            lambda counts: deployed_as(conditions, self._with(counts)).model,
            torch.randn(self.batch, *conditions.input_shape),
        )

    def _bench(
        self,
        name: str,
        example: tuple[Part, Size],
        form: Form,
        points: Iterable[Point],
    ) -> Bench:
        return bench_of(name, self.model, example, form, points, self.batch)

    def _ready_parts(self, benches: Sequence[Bench]) -> list[dict[str, Any]]:
        return ready_benches(benches, self.timer, self.report)

    def _time_parts(
        self, benches: Sequence[Bench], parts: Sequence[Mapping[str, Any]]
    ) -> dict[str, dict[str, Curve]]:
        """Return the curves of each bench, of what was made ready."""
        times = time_benches(
            benches, parts, self.timer, self.limit, self.report
        )
        return {b.name: b.curves(each) for b, each in zip(benches, times)}

    def ready(
        self,
        networks: Mapping[str, Architecture],
        round: int | str | None = None,
    ) -> dict[str, Any]:
        """Return whole networks, ready for :meth:`time`.

        Args:
            networks: Networks by name.
            round: Number to whose multiples their channels are rounded up;
                None for that of the table.
        """
        models = {
            name: self._with(architecture)
            for name, architecture in networks.items()
        }
        return ready_networks(
            models, self.conditions(round), self.timer, self.report
        )

    def _with(self, architecture: Architecture) -> nn.Module:
        model = deepcopy(self.model)
        apply_architecture_(model, architecture)
        return model

    def time(self, ready: Mapping[str, Any]) -> NetworkTimes:
        """Return the milliseconds of what :meth:`ready` returned."""
        self.report('timing whole networks')
        return time_networks(ready, self.timer, 2 * self.limit)
