"""Running a deployed network: in torch, compiled, onnxruntime and OpenVINO."""

import os.path as osp
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from ..deploy.onnx import INPUT, check_installed, write_onnx
from .stopwatch import Call

_shares_threads = False


def channels_last(module: Any, image: Tensor) -> Call:
    """Return a forward pass in torch, weights and image in channels_last."""
    module = module.to(memory_format=torch.channels_last)
    return partial(module, image.contiguous(memory_format=torch.channels_last))


def compiled(module: Any, image: Tensor) -> Call:
    """Return a forward pass through torch.compile, for this input size."""
    module = module.to(memory_format=torch.channels_last)
    image = image.contiguous(memory_format=torch.channels_last)
    return partial(torch.compile(module, dynamic=False), image)


def in_onnxruntime(module: nn.Module, image: Tensor) -> Call:
    """Return a forward pass in onnxruntime, on the CPU."""
    session = onnxruntime_session(module, image)
    return partial(session.run, None, {INPUT: image.cpu().numpy()})


def in_openvino(module: nn.Module, image: Tensor) -> Call:
    """Return a forward pass in OpenVINO in float32, on the CPU."""
    model = openvino_model(module, image)
    return partial(model, image.cpu().numpy())


def onnxruntime_session(
    module: nn.Module, image: Tensor, profile: str | None = None
) -> Any:
    """Return an onnxruntime session of a module, on the CPU.

    It has as many threads as torch; see :func:`share_threads`.

    Args:
        profile: Prefix of the file to which it writes a profile, if any.
    """
    import onnxruntime  # optional: only deployment needs it

    options = onnxruntime.SessionOptions()
    if _shares_threads:
        options.use_per_session_threads = False
    else:
        options.intra_op_num_threads = torch.get_num_threads()
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    with _onnx_file(module, image, bool(profile)) as path:
        return onnxruntime.InferenceSession(
            path, options, providers=['CPUExecutionProvider']
        )


def share_threads() -> None:
    """Let all onnxruntime sessions of this process share torch's threads.

    Threads of its own a session keeps spinning after a call, which slows down
    whatever is timed next. Sessions of other code must share them then, too.
    With a single thread there is nothing to share, and nothing is done.
    """
    global _shares_threads
    if torch.get_num_threads() == 1:
        return
    import onnxruntime

    onnxruntime.set_global_thread_pool_sizes(torch.get_num_threads(), 1)
    _shares_threads = True


def openvino_model(
    module: nn.Module, image: Tensor, profile: bool = False
) -> Any:
    """Return a compiled model of OpenVINO, on the CPU.

    Args:
        profile: Whether it takes the time of each layer.
    """
    import openvino  # optional: only deployment needs it

    with _onnx_file(module, image, profile) as path:
        return openvino.Core().compile_model(
            path,
            'CPU',
            {
                'INFERENCE_PRECISION_HINT': 'f32',
                'INFERENCE_NUM_THREADS': torch.get_num_threads(),
                'NUM_STREAMS': 1,
                'PERF_COUNT': profile,
            },
        )


@contextmanager
def _onnx_file(
    module: nn.Module, image: Tensor, scoped: bool
) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = osp.join(folder, 'model.onnx')
        write_onnx(module.cpu(), image.cpu(), path, scoped=scoped)
        yield path


RUN: dict[str, Callable[[nn.Module, Tensor], Call]] = dict(
    channels_last=channels_last,
    compile=compiled,
    onnxruntime=in_onnxruntime,
    openvino=in_openvino,
)

# Runtime for whose strengths each of them wants its network deployed.
FORM = dict(
    channels_last='torch',
    compile='torch',
    onnxruntime='onnxruntime',
    openvino='openvino',
)


def check_runtimes(names: list[str]) -> None:
    """Raise ModuleNotFoundError unless these can run a network."""
    if {'onnxruntime', 'openvino'} & set(names):
        check_installed()
    if 'openvino' in names and find_spec('openvino') is None:
        raise ModuleNotFoundError(
            "openvino is not installed: pip install 'hrnas_mm[openvino]'"
        )
