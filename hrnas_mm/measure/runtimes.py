"""Running a deployed network: in torch in three ways, and other runtimes."""

import os.path as osp
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.util import find_spec
from itertools import count
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from ..deploy.onnx import INPUT, check_installed, write_onnx
from .stopwatch import Call

Run = Callable[[nn.Module, Tensor], Call]
_shares_threads = False
_numbers = count()


def channels_last(module: Any, image: Tensor) -> Call:
    """Return a forward pass in torch, weights and image in channels_last."""
    module = module.to(memory_format=torch.channels_last)
    return partial(module, _channels_last(image))


def compiled(module: Any, image: Tensor) -> Call:
    """Return a forward pass through torch.compile, for this input size.

    It has code of its own: torch keeps at most eight networks for one code,
    and each call looks through them.
    """
    module = module.to(memory_format=torch.channels_last)

    def run(image: Tensor) -> Any:
        return module(image)

    code = run.__code__.replace(co_name=f'run_{next(_numbers)}')
    own = FunctionType(code, run.__globals__, closure=run.__closure__)
    return partial(torch.compile(own, dynamic=False), _channels_last(image))


def cuda_graph(module: Any, image: Tensor) -> Call:
    """Return the replay of a forward pass in channels_last, as a CUDA graph.

    The GPU then does not wait for Python to launch each operator. What it
    returns is overwritten by the next replay.

    Source: torch.cuda.CUDAGraph, with a warm-up as its documentation asks.
    """
    call = channels_last(module, image)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(image.device):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(stream)
        # Other threads, as those of data loaders, may go on meanwhile.
        with torch.cuda.graph(
            graph, stream=stream, capture_error_mode='thread_local'
        ):
            outputs = call()
    return partial(_replay, graph, outputs, call)


def _replay(graph: torch.cuda.CUDAGraph, outputs: Any, reads: Call) -> Any:
    """Replay a graph, which reads its weights and image where they were."""
    graph.replay()
    return outputs


def _channels_last(image: Tensor) -> Tensor:
    if image.dim() != 4:  # maps of several sizes in a row
        return image
    return image.contiguous(memory_format=torch.channels_last)


def onnx_bytes(
    module: nn.Module, image: Tensor, scoped: bool = False
) -> bytes:
    """Return the ONNX file of a module; see :func:`write_onnx`."""
    with tempfile.TemporaryDirectory() as folder:
        path = osp.join(folder, 'model.onnx')
        write_onnx(module.cpu(), image.cpu(), path, scoped=scoped)
        with open(path, 'rb') as file:
            return file.read()


def in_onnxruntime(onnx: bytes, image: Tensor) -> Call:
    """Return a forward pass in onnxruntime, on the CPU."""
    session = onnxruntime_session(onnx)
    return partial(session.run, None, {INPUT: image.cpu().numpy()})


def in_openvino(onnx: bytes, image: Tensor, dtype: str = 'float32') -> Call:
    """Return a forward pass in OpenVINO, on the CPU."""
    return partial(openvino_model(onnx, dtype), [image.cpu().numpy()])


def onnxruntime_session(onnx: bytes, profile: str | None = None) -> Any:
    """Return an onnxruntime session of an ONNX file, on the CPU.

    It has as many threads as torch; see :func:`share_threads`.

    Args:
        onnx: Content of the file.
        profile: Prefix of the file to which it writes a profile, if any.
    """
    import onnxruntime  # optional: only deployment needs it

    _share_memory()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry('session.use_env_allocators', '1')
    if _shares_threads:
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


def share_threads() -> None:
    """Let all onnxruntime sessions of this process share torch's threads.

    Threads of its own a session keeps spinning after a call, which slows down
    whatever is timed next. Sessions of other code must share them then, too.
    With a single thread there is nothing to share, and nothing is done.
    """
    global _shares_threads
    if _shares_threads or torch.get_num_threads() == 1:
        return
    import onnxruntime

    onnxruntime.set_global_thread_pool_sizes(torch.get_num_threads(), 1)
    _shares_threads = True


def openvino_model(
    onnx: bytes, dtype: str = 'float32', profile: bool = False
) -> Any:
    """Return a compiled model of OpenVINO, on the CPU.

    Args:
        onnx: Content of an ONNX file.
        dtype: One of :data:`DTYPES`, in which it computes.
        profile: Whether it takes the time of each layer.
    """
    import openvino  # optional: only deployment needs it

    core = openvino.Core()
    return core.compile_model(
        core.read_model(onnx),
        'CPU',
        {
            'INFERENCE_PRECISION_HINT': DTYPES[dtype],
            'INFERENCE_NUM_THREADS': torch.get_num_threads(),
            'NUM_STREAMS': 1,
            'PERF_COUNT': profile,
        },
    )


def _exported(run: Callable[[bytes, Tensor], Call]) -> Run:
    return lambda module, image: run(onnx_bytes(module, image), image)


RUN_ONNX: dict[str, Callable[[bytes, Tensor], Call]] = dict(
    onnxruntime=in_onnxruntime, openvino=in_openvino
)
RUN: dict[str, Run] = dict(
    channels_last=channels_last,
    compile=compiled,
    cuda_graph=cuda_graph,
    **{name: _exported(run) for name, run in RUN_ONNX.items()},
)

# Types of weights and maps, and what OpenVINO calls them.
DTYPES = dict(float32='f32', float16='f16', bfloat16='bf16')

# Runtime for whose strengths each of them wants its network deployed.
FORM = dict(
    channels_last='torch',
    compile='torch',
    cuda_graph='torch',
    onnxruntime='onnxruntime',
    openvino='openvino',
)


def devices_of(backend: str) -> tuple[str, ...]:
    """Return the kinds of devices that a runtime is used on."""
    if backend in RUN_ONNX:
        return ('cpu',)
    return ('cuda',) if backend == 'cuda_graph' else ('cpu', 'cuda')


def check_runtimes(names: Sequence[str]) -> None:
    """Raise ModuleNotFoundError unless these can run a network."""
    if {'onnxruntime', 'openvino'} & set(names):
        check_installed()
    if 'openvino' in names and find_spec('openvino') is None:
        raise ModuleNotFoundError(
            "openvino is not installed: pip install 'hrnas_mm[openvino]'"
        )


def check_device(backend: str, device: str, dtype: str) -> None:
    """Raise ValueError unless a runtime can compute on a device in a dtype."""
    known = ('float32',) if backend == 'onnxruntime' else tuple(DTYPES)
    if dtype not in known:
        raise ValueError(
            f'dtype must be {" or ".join(known)} with backend {backend}, got '
            f'{dtype!r}'
        )
    kind = str(device).partition(':')[0]
    devices = devices_of(backend)
    if kind not in devices:
        raise ValueError(
            f'device must be {" or ".join(devices)} with backend {backend}, '
            f'got {device!r}'
        )
    if kind == 'cuda' and not torch.cuda.is_available():
        raise ValueError(f'device must be cpu without a GPU, got {device!r}')
