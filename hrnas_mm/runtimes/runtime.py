"""The Protocol of a runtime, which runs deployed networks."""

from collections import Counter
from collections.abc import Callable
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any, Protocol

import torch
from torch import Tensor

from ..deploy import INT8, DeployableModel, check_installed

Call = Callable[[], object]
Session = Callable[[Tensor], list[Tensor]]
Times = Counter[tuple[str, str]]  # by operator and by name of the module

DTYPES = ('float32', 'float16', 'bfloat16')
ALL_DTYPES = (*DTYPES, INT8)
PROFILED_CALLS = 20
INNER = 'model'  # what a DeployableModel calls the network in it


class Runtime(Protocol):
    """Runtime of deployed networks; add yours to ``RUNTIMES``.

    A class with this base only has to define ``name`` and ``load``.

    Attributes:
        name: Name on command lines, in configs and in tables.
        form: Runtime for whose strengths it wants networks deployed: 'torch',
            'onnxruntime' or 'openvino'; None for networks as they are trained.
        onnx: Whether it runs ONNX files rather than modules.
        slow: Whether making a network ready takes much longer than timing it,
            so that a table has fewer points.
        allocates: Whether torch allocates the memory of a call, and can
            measure its peak.
        devices: Kinds of devices that it runs on.
        dtypes: Types of weights and maps that it computes in.
        packages: Packages that it needs besides torch; the version of the
            first is that of the runtime.
        install: Command that installs them.
    """

    name: str
    form: str | None = 'torch'
    onnx: bool = False
    slow: bool = False
    allocates: bool = False
    devices: tuple[str, ...] = ('cpu',)
    dtypes: tuple[str, ...] = ('float32',)
    packages: tuple[str, ...] = ()
    install: str = "pip install 'hrnas_mm[deploy]'"

    def load(self, network: Any, image: Tensor, dtype: str) -> Call:
        """Return a call that runs a network once, with torch's threads.

        Args:
            network: Module in eval mode, in ``dtype`` and on the device of
                the image; or the content of an ONNX file if ``onnx``.
            image: Input of the network.
            dtype: One of ``dtypes``.
        """
        raise NotImplementedError

    def session(self, onnx: bytes) -> Session:
        """Return what runs an ONNX file on images, with torch's threads.

        Args:
            onnx: Content of the file.

        Raises:
            NotImplementedError: If the runtime does not run such files.
        """
        message = f'{self.name} runs no ONNX files'
        raise NotImplementedError(message)

    def profile(self, network: DeployableModel, image: Tensor) -> Times:
        """Return the time of each operator, by the module that it is in.

        Args:
            network: Deployed network, in float32 on the CPU.
            image: Input of the network.

        Raises:
            NotImplementedError: If the runtime has no profiler.
        """
        message = f'{self.name} has no profiler'
        raise NotImplementedError(message)


def version_of(runtime: Runtime) -> str:
    """Return the version of what runs networks."""
    package = runtime.packages[0] if runtime.packages else 'torch'
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # onnxruntime-gpu, for example
        return str(import_module(package).__version__)


def check_packages(runtime: Runtime) -> None:
    """Raise ModuleNotFoundError unless a runtime can run a network."""
    if runtime.onnx:
        check_installed()
    for package in runtime.packages:
        if find_spec(package) is None:
            raise ModuleNotFoundError(
                f'{package} is not installed: {runtime.install}'
            )


def check_device(runtime: Runtime, device: str, dtype: str) -> None:
    """Raise ValueError unless a runtime computes on a device in a dtype."""
    if dtype not in runtime.dtypes:
        raise ValueError(
            f'dtype must be {" or ".join(runtime.dtypes)} with backend '
            f'{runtime.name}, got {dtype!r}'
        )
    kind = str(device).partition(':')[0]
    if kind not in runtime.devices:
        raise ValueError(
            f'device must be {" or ".join(runtime.devices)} with backend '
            f'{runtime.name}, got {device!r}'
        )
    if kind == 'cuda' and not torch.cuda.is_available():
        raise ValueError(f'device must be cpu without a GPU, got {device!r}')
