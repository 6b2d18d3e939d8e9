"""Timers: what a timer has to do, and the one of this process."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .devices import device_name
from .runtime import (
    Call,
    Runtime,
    check_device,
    check_packages,
    version_of,
)
from .stopwatch import settled

Make = Callable[[], Any]


class Timer(Protocol):
    """Time networks that it has made ready before.

    Attributes:
        backend: Its name in tables.
        onnx: Whether it wants ONNX files, as bytes, and not modules.
        form: Runtime for which it wants them deployed.
        version: Version of what runs them.
        device: Name of the device that they run on.
        dtype: Type of their weights and maps.
        slow: Whether to make a network ready takes much longer than to time
            it, so that few should be.
    """

    backend: str
    onnx: bool
    form: str
    version: str
    device: str
    dtype: str
    slow: bool

    def ready(self, name: str, make: Make, image: Tensor) -> Any:
        """Make a network ready to be timed.

        Args:
            name: A name that no other network has.
            make: Returns the deployed module, or the ONNX file.
            image: What it reads.
        """

    def times(
        self, ready: Mapping[str, Any], limit: float, warm: bool = True
    ) -> dict[str, float]:
        """Return the milliseconds of what :meth:`ready` returned, by name.

        Args:
            ready: Networks by name.
            limit, warm: See :func:`~hrnas_mm.runtimes.stopwatch.settled`.
        """


class LocalTimer:
    """Time networks in this process, in turns.

    Args:
        runtime: What runs them; it has as many threads as torch has then.
        device: 'cpu' or 'cuda'.
        dtype: One of the runtime's ``dtypes``.

    Raises:
        ModuleNotFoundError: If the runtime is not installed.
        ValueError: If it cannot run there, or in this dtype.
    """

    def __init__(
        self, runtime: Runtime, device: str = 'cpu', dtype: str = 'float32'
    ) -> None:
        check_packages(runtime)
        check_device(runtime, device, dtype)
        assert runtime.form is not None  # networks are timed as deployed
        self.runtime = runtime
        self.backend, self.form = runtime.name, runtime.form
        self.onnx, self.slow = runtime.onnx, runtime.slow
        self.version = version_of(runtime)
        self.place = torch.device(device)
        self.device = device_name(self.place)
        self.dtype = dtype

    def ready(self, name: str, make: Make, image: Tensor) -> Any:
        """See :class:`Timer`; memory is taken only while it is timed."""
        return partial(self._load, make, image)

    def _load(self, make: Make, image: Tensor) -> Call:
        network = make()
        if isinstance(network, nn.Module):
            to = dict(device=self.place, dtype=getattr(torch, self.dtype))
            network, image = network.to(**to), image.to(**to)
        return self.runtime.load(network, image, self.dtype)

    @torch.no_grad()
    def times(
        self, ready: Mapping[str, Any], limit: float, warm: bool = True
    ) -> dict[str, float]:
        """See :class:`Timer`."""
        # What has several names, such as the reference, is loaded once.
        loaded = {load: load() for load in dict.fromkeys(ready.values())}
        calls = {name: loaded[load] for name, load in ready.items()}
        seconds = settled(calls, self.place, limit, warm=warm)
        return {name: 1e3 * taken for name, taken in seconds.items()}
