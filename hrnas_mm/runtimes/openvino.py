"""OpenVINO, on the CPU."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..deploy import INT8, DeployableModel, onnx_bytes, quantized
from .runtime import (
    ALL_DTYPES,
    PROFILED_CALLS,
    Call,
    Runtime,
    Session,
    Times,
)

# What OpenVINO calls the types that it computes in; a file's integers stay.
PRECISIONS = dict(zip(ALL_DTYPES, ('f32', 'f16', 'bf16', 'f32')))


class OpenVino(Runtime):
    """Compiled models of OpenVINO, one stream each."""

    name = form = 'openvino'
    onnx = True
    dtypes = ALL_DTYPES
    packages = ('openvino',)
    install = "pip install 'hrnas_mm[openvino]'"

    def load(self, network: bytes, image: Tensor, dtype: str) -> Call:
        """Return a call; int8 takes what a calibrated file would."""
        if dtype == INT8:
            network = quantized(network, runtime=self.name)
        return partial(self._compiled(network, dtype), [image.cpu().numpy()])

    def session(self, onnx: bytes) -> Session:
        """Return the outputs of the compiled model, as tensors."""
        compiled = self._compiled(onnx, 'float32')

        def run(image: Tensor) -> list[Tensor]:
            found = compiled([image.cpu().numpy()])
            return [torch.from_numpy(found[out]) for out in compiled.outputs]

        return run

    def profile(self, network: DeployableModel, image: Tensor) -> Times:
        """Return the time of each layer of the compiled model."""
        onnx = onnx_bytes(network, image, scoped=True)
        model = self._compiled(onnx, 'float32', profile=True)
        request = model.create_infer_request()
        times = Times()
        for _ in range(PROFILED_CALLS):
            request.infer([image.numpy()])
            for layer in request.profiling_info:
                time = layer.real_time.total_seconds()
                times[layer.node_type, layer.node_name] += time
        return times

    def _compiled(self, onnx: bytes, dtype: str, profile: bool = False) -> Any:
        import openvino  # optional: only deployment needs it

        core = openvino.Core()
        return core.compile_model(
            core.read_model(onnx),
            'CPU',
            {
                'INFERENCE_PRECISION_HINT': PRECISIONS[dtype],
                'INFERENCE_NUM_THREADS': torch.get_num_threads(),
                'NUM_STREAMS': 1,
                'PERF_COUNT': profile,
            },
        )
