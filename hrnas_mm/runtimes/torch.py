"""torch: as trained, and deployed in three ways."""

from functools import partial
from itertools import count
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function

from ..deploy import DeployableModel, stage_names
from ..search.units import join
from .runtime import DTYPES, INNER, PROFILED_CALLS, Call, Runtime, Times

STAGE = 'stage:'
_numbers = count()


class Eager(Runtime):
    """A forward pass of the network as it is trained."""

    name = 'eager'
    form = None
    allocates = True
    devices, dtypes = ('cpu', 'cuda'), DTYPES

    def load(self, network: nn.Module, image: Tensor, dtype: str) -> Call:
        """Return the module's own forward pass."""
        return partial(network, image)


class ChannelsLast(Runtime):
    """A forward pass with weights and image in channels_last."""

    name = 'channels_last'
    allocates = True
    devices: tuple[str, ...] = ('cpu', 'cuda')
    dtypes = DTYPES

    def load(self, network: nn.Module, image: Tensor, dtype: str) -> Call:
        """Return the forward pass."""
        return partial(_in_channels_last(network), _channels_last(image))

    def profile(self, network: DeployableModel, image: Tensor) -> Times:
        """Return the time of each operator, called from each stage."""
        handles = []
        for name in stage_names(network.model):
            stage = network.model.get_submodule(name)
            handles += _recorded(stage, join(INNER, name))
            for child, part in stage.named_children():  # mmseg calls no head
                handles += _recorded(part, join(INNER, f'{name}.{child}'))
        call = self.load(network, image, 'float32')
        try:
            with (
                torch.no_grad(),
                profile(activities=[ProfilerActivity.CPU]) as profiler,
            ):
                for _ in range(PROFILED_CALLS):
                    call()
        finally:
            for handle in handles:
                handle.remove()
        times = Times()
        for event in profiler.events():
            if event.name.startswith('aten::'):
                taken = event.self_cpu_time_total
                times[event.name, _caller(event)] += taken
        return times


class Compile(Runtime):
    """A forward pass through torch.compile, for one input size."""

    name = 'compile'
    slow = True
    allocates = True
    devices, dtypes = ('cpu', 'cuda'), DTYPES

    def load(self, network: nn.Module, image: Tensor, dtype: str) -> Call:
        """Return the compiled forward pass.

        It has code of its own: torch keeps at most eight networks for one
        code, and each call looks through them.
        """
        module = _in_channels_last(network)

        def run(image: Tensor) -> Any:
            return module(image)

        code = run.__code__.replace(co_name=f'run_{next(_numbers)}')
        own = FunctionType(code, run.__globals__, closure=run.__closure__)
        compiled = torch.compile(own, dynamic=False)
        return partial(compiled, _channels_last(image))


class CudaGraph(ChannelsLast):
    """The replay of a forward pass in channels_last, as a CUDA graph.

    The GPU then does not wait for Python to launch each operator. What it
    returns is overwritten by the next replay.

    Source: torch.cuda.CUDAGraph, with a warm-up as its documentation asks.
    """

    name = 'cuda_graph'
    allocates = False
    devices: tuple[str, ...] = ('cuda',)

    def load(self, network: nn.Module, image: Tensor, dtype: str) -> Call:
        """Return the replay."""
        call = super().load(network, image, dtype)
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

    profile = Runtime.profile  # a replay does not say what it runs


def _replay(graph: torch.cuda.CUDAGraph, outputs: Any, reads: Call) -> Any:
    """Replay a graph, which reads its weights and image where they were."""
    graph.replay()
    return outputs


def _in_channels_last(network: Any) -> nn.Module:
    return network.to(memory_format=torch.channels_last)


def _channels_last(image: Tensor) -> Tensor:
    if image.dim() != 4:  # maps of several sizes in a row
        return image
    return image.contiguous(memory_format=torch.channels_last)


def _recorded(module: nn.Module, name: str) -> list[Any]:
    """Let the profiler know when a module is called; return the hooks."""
    open_ones: list[Any] = []

    def enter(*args: Any) -> None:
        open_ones.append(record_function(STAGE + name).__enter__())

    def leave(*args: Any) -> None:
        open_ones.pop().__exit__(None, None, None)

    return [
        module.register_forward_pre_hook(enter),
        module.register_forward_hook(leave),
    ]


def _caller(event: Any) -> str:
    while event is not None and not event.name.startswith(STAGE):
        event = event.cpu_parent
    return event.name.removeprefix(STAGE) if event else ''
