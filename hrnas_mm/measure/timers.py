"""Timing networks: what a timer has to do, and the one of this process."""

from collections.abc import Callable, Mapping
from importlib import import_module, metadata
from typing import Any, Protocol

import torch
from torch import Tensor

from .devices import device_name
from .runtimes import (
    FORM,
    RUN,
    RUN_ONNX,
    check_device,
    check_runtimes,
    in_openvino,
    share_threads,
)
from .stopwatch import settled

Make = Callable[[], Any]


def version_of(package: str) -> str:
    """Return the version of a package, by the name that it is imported by.

    onnxruntime may be installed as onnxruntime-gpu.
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return str(import_module(package).__version__)


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
        self, ready: Mapping[str, Any], limit: float, alone: bool = True
    ) -> dict[str, float]:
        """Return the milliseconds of what :meth:`ready` returned, by name.

        Args:
            ready: Networks by name.
            limit, alone: See :func:`~hrnas_mm.measure.stopwatch.settled`.
        """


class TimerHere:
    """Time networks in this process, in turns.

    Args:
        backend: One of :data:`~hrnas_mm.measure.RUN`; it has as many threads
            as torch has now.
        device: 'cpu' or 'cuda'.
        dtype: 'float32', 'float16' or 'bfloat16'.

    Raises:
        ModuleNotFoundError: If it is not installed.
        ValueError: If it cannot run there, or in this dtype.
    """

    def __init__(
        self, backend: str, device: str = 'cpu', dtype: str = 'float32'
    ) -> None:
        check_runtimes([backend])
        check_device(backend, device, dtype)
        if backend == 'onnxruntime':
            share_threads()
        self.backend = backend
        self.onnx = backend in RUN_ONNX
        self.form = FORM[backend]
        self.version = version_of(backend if self.onnx else 'torch')
        self.place = torch.device(device)
        self.device = device_name(self.place)
        self.dtype = dtype
        self.slow = backend == 'compile'

    def ready(self, name: str, make: Make, image: Tensor) -> Any:
        """See :class:`Timer`; memory is taken only while it is timed."""
        if self.backend == 'openvino':
            return lambda: in_openvino(make(), image, self.dtype)
        if self.onnx:
            return lambda: RUN_ONNX[self.backend](make(), image)
        to = dict(device=self.place, dtype=getattr(torch, self.dtype))
        return lambda: RUN[self.backend](make().to(**to), image.to(**to))

    @torch.no_grad()
    def times(
        self, ready: Mapping[str, Any], limit: float, alone: bool = True
    ) -> dict[str, float]:
        """See :class:`Timer`."""
        # What has several names, such as the reference, is loaded once.
        loaded = {load: load() for load in dict.fromkeys(ready.values())}
        calls = {name: loaded[load] for name, load in ready.items()}
        seconds = settled(calls, self.place, limit, alone=alone)
        return {name: 1e3 * taken for name, taken in seconds.items()}
