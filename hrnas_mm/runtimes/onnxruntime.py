"""onnxruntime, on the CPU."""

import json
import os.path as osp
import tempfile
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from ..deploy import INPUT, INT8, DeployableModel, onnx_bytes, quantized
from .runtime import PROFILED_CALLS, Call, Runtime, Session, Times


class OnnxRuntime(Runtime):
    """Sessions of onnxruntime that share memory, and threads with each other.

    Threads of its own a session keeps spinning after a call, which slows down
    whatever is timed next. Sessions of other code in this process must share
    them then, too.
    """

    name = form = 'onnxruntime'
    onnx = True
    dtypes = ('float32', INT8)
    packages = ('onnxruntime',)

    def load(self, network: bytes, image: Tensor, dtype: str) -> Call:
        """Return a session's call; int8 takes what a calibrated file would."""
        content = quantized(network) if dtype == INT8 else network
        session = self._session(content)
        return partial(session.run, None, {INPUT: image.cpu().numpy()})

    def session(self, onnx: bytes) -> Session:
        """Return the outputs of a session, as tensors."""
        session = self._session(onnx)

        def run(image: Tensor) -> list[Tensor]:
            found = session.run(None, {INPUT: image.cpu().numpy()})
            return [torch.from_numpy(each) for each in found]

        return run

    def profile(self, network: DeployableModel, image: Tensor) -> Times:
        """Return the time of each node of the optimised graph."""
        with tempfile.TemporaryDirectory() as folder:
            onnx = onnx_bytes(network, image, scoped=True)
            session = self._session(onnx, profile=osp.join(folder, ''))
            for _ in range(PROFILED_CALLS):
                session.run(None, {INPUT: image.numpy()})
            with open(session.end_profiling()) as file:
                events = json.load(file)
        times = Times()
        for event in events:
            operator = event.get('args', {}).get('op_name')
            if operator and event['name'].endswith('_kernel_time'):
                times[operator, event['name']] += event['dur']
        return times

    def _session(self, onnx: bytes, profile: str | None = None) -> Any:
        """Return a session of an ONNX file, with as many threads as torch.

        Args:
            onnx: Content of the file.
            profile: Prefix of the file to which it writes a profile, if any.
        """
        import onnxruntime  # optional: only deployment needs it

        shares_threads = torch.get_num_threads() > 1 and _share_threads()
        _share_memory()
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry('session.use_env_allocators', '1')
        if shares_threads:
            options.use_per_session_threads = False
        else:
            options.intra_op_num_threads = torch.get_num_threads()
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = profile
        return onnxruntime.InferenceSession(
            onnx, options, providers=['CPUExecutionProvider']
        )


@cache
def _share_threads() -> bool:
    """Let all sessions of this process share torch's number of threads."""
    import onnxruntime

    onnxruntime.set_global_thread_pool_sizes(torch.get_num_threads(), 1)
    return True


@cache
def _share_memory() -> None:
    """Let sessions share the memory of their maps; each would keep its own.

    Networks that take turns then need that of the largest, not of all.
    """
    import onnxruntime

    memory = onnxruntime.OrtMemoryInfo(
        'Cpu',
        onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
        0,
        onnxruntime.OrtMemType.DEFAULT,
    )
    onnxruntime.create_and_register_allocator(memory, None)
