"""Time deployed networks together with a fixed reference network."""

import datetime
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..deploy import DeployableModel, onnx_bytes
from ..runtimes.timers import Timer
from .bench import Report
from .on_all_cores import on_all_cores
from .table import Conditions


class NetworkTimes(NamedTuple):
    """Hold times of networks that took turns.

    Attributes:
        networks: Milliseconds of each.
        reference: Milliseconds of the reference network between them, by
            which the speed of a machine at two times can be compared.
    """

    networks: list[float]
    reference: float


def reference_network() -> nn.Module:
    """Return the network whose time tells how fast a machine is now.

    It has the kinds of layers that searched networks have.
    """
    layers: list[nn.Module] = []
    channels = 3
    for _ in range(6):
        layers += [nn.Conv2d(channels, 64, 1), nn.ReLU()]
        layers += [nn.Conv2d(64, 64, 5, padding=2, groups=64), nn.ReLU()]
        layers += [nn.Conv2d(64, 32, 1)]
        channels = 32
    return nn.Sequential(*layers).eval()


REFERENCE, REFERENCE_SHAPE = 'reference', (1, 3, 48, 64)
NETWORKS_IN_TURN = 8


def conditions_of(
    timer: Timer,
    input_shape: Sequence[int],
    step: int,
    batch: int = 1,
) -> Conditions:
    """Return what networks are timed with here and now.

    Args:
        timer: What times them.
        input_shape: (C, H, W) of an image.
        step: Number to whose multiples their channels are rounded up.
        batch: Number of images.
    """
    return Conditions(
        backend=timer.backend,
        runtime=timer.form,
        round=step,
        device=timer.device,
        version=timer.version,
        threads=torch.get_num_threads(),
        dtype=timer.dtype,
        batch=batch,
        input_shape=tuple(input_shape),
        created=datetime.date.today().isoformat(),
    )


def ready_networks(
    models: Mapping[str, nn.Module],
    conditions: Conditions,
    timer: Timer,
    report: Report = lambda text: None,
) -> dict[str, Any]:
    """Return networks, deployed and ready to be timed, and the reference.

    Args:
        models: Networks as they are trained, on the CPU, by name.
        conditions: How they are deployed and run; the number of threads is
            torch's for the time being.
        timer: What will time them.
        report: Function that is told of each step before it is taken.
    """
    image = torch.randn(conditions.batch, *conditions.input_shape)
    makes: dict[str, Callable[[], nn.Module]] = {
        name: partial(deployed_as, conditions, model)
        for name, model in models.items()
    }
    images = dict.fromkeys(makes, image)
    makes[REFERENCE] = reference_network
    images[REFERENCE] = torch.randn(REFERENCE_SHAPE)
    return ready_models(makes, images, timer, report)


def ready_models(
    makes: Mapping[str, Callable[[], nn.Module]],
    images: Mapping[str, Tensor],
    timer: Timer,
    report: Report,
) -> dict[str, Any]:
    """Return deployed modules, ready to be timed.

    Args:
        makes: Functions that return them, by name.
        images: What each of them reads.
        timer: What will time them.
        report: Function that is told of each step before it is taken.
    """
    networks: Iterator[Any] = (make() for make in makes.values())
    if timer.onnx:
        networks = on_all_cores(
            [
                partial(_exported, make, images[name])
                for name, make in makes.items()
            ]
        )
    found = {}
    for name in makes:
        report(f'preparing {name}')
        network = next(networks)
        made = partial(_itself, network)
        found[name] = timer.ready(name, made, images[name])
    return found


def deployed_as(conditions: Conditions, model: nn.Module) -> DeployableModel:
    """Return a model as it is deployed for what a table is measured with."""
    return DeployableModel(
        model,
        conditions.runtime,
        round=conditions.round,
        input_shape=conditions.input_shape,
    )


def _exported(make: Callable[[], nn.Module], image: Tensor) -> bytes:
    return onnx_bytes(make(), image)


def _itself(network: Any) -> Any:
    return network


def time_networks(
    ready: Mapping[str, Any], timer: Timer, limit: float = 10.0
) -> NetworkTimes:
    """Return the milliseconds of what :func:`ready_networks` returned.

    A few take turns at a time, as all together may not fit into memory. The
    reference is timed after each of them, and makes the groups comparable.

    Args:
        ready: Networks and the reference, by name.
        timer: What times them.
        limit: Seconds after which a group takes no further turns.
    """
    networks = [name for name in ready if name != REFERENCE]
    found: list[float] = []
    reference = 0.0
    for i in range(0, len(networks), NETWORKS_IN_TURN):
        group = networks[i : i + NETWORKS_IN_TURN]
        calls = {}
        for name in group:
            calls[name] = ready[name]
            calls[f'{REFERENCE} after {name}'] = ready[REFERENCE]
        times = timer.times(calls, limit)
        own = [times.pop(name) for name in group]
        now = statistics.median(times.values())
        reference = reference or now
        found += [ms * reference / now for ms in own]
    return NetworkTimes(found, reference)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch, and runtimes started within, use a number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
