"""Profiling a deployed network: shares of its stages and operators."""

from collections import Counter
from collections.abc import Sequence

from torch import Tensor

from ..deploy import DeployableModel, stage_names
from ..search.units import join
from .runtime import INNER, Runtime


def profiled(
    runtime: Runtime, network: DeployableModel, image: Tensor
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the shares of time of each stage, and of each kind of operator.

    Both are in descending order.

    Args:
        runtime: What runs the network.
        network: Deployed network.
        image: Its input.

    Raises:
        NotImplementedError: If the runtime has no profiler.
    """
    stages = [join(INNER, name) for name in stage_names(network.model)]
    by_stage: Counter[str] = Counter()
    by_operator: Counter[str] = Counter()
    for (operator, name), time in runtime.profile(network, image).items():
        by_operator[operator] += time
        stage = _stage_of(name, stages)
        by_stage[stage.removeprefix(f'{INNER}.')] += time
    return _shares(by_stage), _shares(by_operator)


def _stage_of(name: str, stages: Sequence[str]) -> str:
    """Return the stage whose name a name begins with."""
    found = [s for s in stages if name.startswith((f'{s}.', f'{s}/'))]
    found += [s for s in stages if s == name]
    return max(found, key=len, default='between stages')


def _shares(times: Counter[str]) -> dict[str, float]:
    total = sum(times.values()) or 1
    return {name: time / total for name, time in times.most_common()}
