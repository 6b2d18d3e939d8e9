"""Profiling a deployed network: shares of its stages and operators."""

import json
import os.path as osp
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function

from ..deploy import DeployableModel
from ..deploy.onnx import INPUT
from ..search.units import join
from .counting import stage_names
from .runtimes import (
    channels_last,
    onnx_bytes,
    onnxruntime_session,
    openvino_model,
)

RUNS = 20
STAGE = 'stage:'
INNER = 'model'  # what a DeployableModel calls the network in it
Times = Counter[tuple[str, str]]  # by operator and by name of the module


def profiled(
    backend: str, module: DeployableModel, image: Tensor
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the shares of time of each stage, and of each kind of operator.

    Both are in descending order.

    Args:
        backend: One of :data:`PROFILERS`.
        module: Deployed network.
        image: Its input.
    """
    stages = [join(INNER, name) for name in stage_names(module.model)]
    by_stage: Counter[str] = Counter()
    by_operator: Counter[str] = Counter()
    for (operator, name), time in PROFILERS[backend](module, image).items():
        by_operator[operator] += time
        stage = _stage_of(name, stages)
        by_stage[stage.removeprefix(f'{INNER}.')] += time
    return _shares(by_stage), _shares(by_operator)


def in_torch(module: DeployableModel, image: Tensor) -> Times:
    """Return the time of each operator, called from each stage."""
    handles = []
    for name in stage_names(module.model):
        stage = module.model.get_submodule(name)
        handles += _recorded(stage, join(INNER, name))
        for child, part in stage.named_children():  # mmseg calls no head
            handles += _recorded(part, join(INNER, f'{name}.{child}'))
    call = channels_last(module, image)
    try:
        with (
            torch.no_grad(),
            profile(activities=[ProfilerActivity.CPU]) as profiler,
        ):
            for _ in range(RUNS):
                call()
    finally:
        for handle in handles:
            handle.remove()
    times: Times = Counter()
    for event in profiler.events():
        if event.name.startswith('aten::'):
            times[event.name, _caller(event)] += event.self_cpu_time_total
    return times


def in_onnxruntime(module: DeployableModel, image: Tensor) -> Times:
    """Return the time of each node of onnxruntime's optimised graph."""
    with tempfile.TemporaryDirectory() as folder:
        onnx = onnx_bytes(module, image, scoped=True)
        session = onnxruntime_session(onnx, osp.join(folder, ''))
        for _ in range(RUNS):
            session.run(None, {INPUT: image.numpy()})
        with open(session.end_profiling()) as file:
            events = json.load(file)
    times: Times = Counter()
    for event in events:
        operator = event.get('args', {}).get('op_name')
        if operator and event['name'].endswith('_kernel_time'):
            times[operator, event['name']] += event['dur']
    return times


def in_openvino(module: DeployableModel, image: Tensor) -> Times:
    """Return the time of each layer of OpenVINO's compiled model."""
    onnx = onnx_bytes(module, image, scoped=True)
    model = openvino_model(onnx, profile=True)
    request = model.create_infer_request()
    times: Times = Counter()
    for _ in range(RUNS):
        request.infer([image.numpy()])
        for layer in request.profiling_info:
            time = layer.real_time.total_seconds()
            times[layer.node_type, layer.node_name] += time
    return times


PROFILERS: dict[str, Callable[[DeployableModel, Tensor], Times]] = dict(
    channels_last=in_torch,
    onnxruntime=in_onnxruntime,
    openvino=in_openvino,
)


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


def _stage_of(name: str, stages: Sequence[str]) -> str:
    """Return the stage whose name a name begins with."""
    found = [s for s in stages if name.startswith((f'{s}.', f'{s}/'))]
    found += [s for s in stages if s == name]
    return max(found, key=len, default='between stages')


def _shares(times: Counter[str]) -> dict[str, float]:
    total = sum(times.values()) or 1
    return {name: time / total for name, time in times.most_common()}
