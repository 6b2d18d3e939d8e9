"""The runtimes that tables, searches and command lines can name."""

from .onnxruntime import OnnxRuntime
from .openvino import OpenVino
from .runtime import Runtime
from .torch import ChannelsLast, Compile, CudaGraph

# Runtimes of deployed networks; add one of your own under its name.
RUNTIMES: dict[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        ChannelsLast(),
        Compile(),
        CudaGraph(),
        OnnxRuntime(),
        OpenVino(),
    )
}
