"""Finding the fastest deployed form of a network, on the device at hand."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import nn

from ..deploy import DeployableModel, cost_model_of
from ..modules.deployed import Choice, Deployable, Form, form_of
from ..runtimes.timers import Timer
from ..search.units import Part, Size, join
from .bench import (
    Bench,
    Report,
    bench_of_modules,
    ready_benches,
    time_benches,
)
from .layers import apart, is_stock
from .networks import ready_models
from .points import Point
from .repeated import module_alone
from .steps import STEPS

Choices = Mapping[str, Choice]


class TunedForm(NamedTuple):
    """The form that was the fastest of those that were timed.

    Attributes:
        name: Its name.
        round: Number to whose multiples channels are rounded up.
        choices: What is settled of modules, by their names.
        ms: Milliseconds of all forms that were compared, by name.
    """

    name: str
    round: int
    choices: Choices
    ms: Mapping[str, float]

    def __str__(self) -> str:
        """Return in words what is settled of the blocks."""
        if not self.choices:
            return 'the constants of the runtime decide about each block'
        divisions = [
            choice.division
            for choice in self.choices.values()
            if choice.division
        ]
        apart = sum(max(map(len, groups)) == 1 for groups in divisions)
        merged = sum(len(groups) == 1 for groups in divisions)
        some = len(divisions) - merged - apart
        text = (
            f'of {len(divisions)} blocks with several paths, {apart} have '
            f'them apart, {merged} merged, {some} merged in part'
        )
        splits = [
            c.split for c in self.choices.values() if c.split is not None
        ]
        if splits:
            joined = 'each at its own size' if splits[0] else 'joined'
            text += f'; the joining block reads its maps {joined}'
        return text


def tuned_form(
    model: nn.Module,
    input_shape: Sequence[int],
    timer: Timer,
    round: int | str = 'auto',
    limit: float = 3.0,
    report: Report = lambda text: None,
) -> TunedForm:
    """Return the fastest form of a network.

    First, whole networks show to which multiples channels are best rounded
    up. Then each block is timed alone with its paths merged, apart, or merged
    in part, and, if it reads several maps, with these joined or not. At last,
    the network of the best blocks takes turns with those in which the
    constants of the runtime decide.

    Args:
        model: The trained network, in eval mode, on the CPU.
        input_shape: (C, H, W) of the image.
        timer: What times it.
        round: 'auto', or the only multiple that is tried.
        limit: Seconds for which a block is timed at most.
        report: Function that is told of each step before it is taken.

    Raises:
        ValueError: If the model has no search units.
    """
    parts = cost_model_of(model, input_shape).parts.values()
    tuner = _Tuner(model, tuple(input_shape), timer, limit, report)
    steps: Sequence[Any] = STEPS if round == 'auto' else (round,)
    forms: dict[str, tuple[int, Choices]] = {
        f'by constants, multiples of {step}': (step, {}) for step in steps
    }
    ms = tuner.ms_of(forms)
    step, _ = forms[min(ms, key=ms.__getitem__)]
    choices = tuner.best_choices(parts, step)
    if choices:
        forms[f'tuned, multiples of {step}'] = step, choices
        ms = tuner.ms_of(forms)
    name = min(ms, key=ms.__getitem__)
    return TunedForm(name, *forms[name], ms)


class _Tuner(NamedTuple):
    model: nn.Module
    input_shape: tuple[int, ...]
    timer: Timer
    limit: float
    report: Report

    def ms_of(
        self, forms: Mapping[str, tuple[int, Choices]]
    ) -> dict[str, float]:
        """Return the milliseconds of the network in several forms."""
        makes = {
            f'the network {name}': partial(self._deployed, *form)
            for name, form in forms.items()
        }
        images = dict.fromkeys(makes, torch.randn(1, *self.input_shape))
        ready = ready_models(makes, images, self.timer, self.report)
        self.report('timing networks')
        return self.timer.times(
            dict(zip(forms, ready.values())), 4 * self.limit
        )

    def _deployed(self, step: int, choices: Choices) -> DeployableModel:
        return DeployableModel(
            self.model,
            self.timer.form,
            round=step,
            input_shape=self.input_shape,
            choices=choices,
        )

    def best_choices(
        self, parts: Iterable[Part], step: int
    ) -> dict[str, Choice]:
        """Return what is best settled of each block, each timed alone."""
        form = form_of(self.timer.form, 'auto', step, {})
        options: dict[str, list[dict[str, Choice]]] = {}
        benches: list[Bench] = []
        for part in (each for outer in parts for each in apart(outer)):
            tried = _options(part)
            if part.units and len(tried) > 1:
                options[part.name] = tried
                benches.append(_bench(part, tried, form))
        ready = ready_benches(benches, self.timer, self.report)
        times = time_benches(
            benches, ready, self.timer, self.limit, self.report
        )
        best: dict[str, Choice] = {}
        for bench, each in zip(benches, times):
            ms = bench.ms(each)
            found = options[bench.name][ms.index(min(ms))]
            best |= {join(bench.name, name): c for name, c in found.items()}
        return best


def _options(part: Part) -> list[dict[str, Choice]]:
    """Return what can be settled of a part, by names of modules in it."""
    modules = {
        name: module.options()
        for name, module in part.module.named_modules()
        if isinstance(module, Deployable)
        and not any(is_stock(part, unit) for unit in part.units)
    }
    open_ones = {name: each for name, each in modules.items() if each[1:]}
    return [
        dict(zip(open_ones, choices))
        for choices in product(*open_ones.values())
    ]


def _bench(
    part: Part, tried: Sequence[Mapping[str, Choice]], form: Form
) -> Bench:
    """Return a part in all forms that are tried, each to be timed alone."""
    size: Size = next(iter(part.sizes.values()))[0]
    modules, images = [], []
    for choices in tried:
        module = deepcopy(part.module).eval().requires_grad_(False)
        settled = {
            module.get_submodule(name): choice
            for name, choice in choices.items()
        }
        alone, shape = module_alone(
            module, replace(form, choices=settled), size
        )
        modules.append(alone)
        images.append(torch.randn(1, *shape))
    points = [Point('form', i, {}) for i in range(len(tried))]
    return bench_of_modules(part.name, points, modules, images)
