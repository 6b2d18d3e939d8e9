"""Runtimes compute what torch does, and profiles add up."""

from typing import Any

import pytest
import tiny
import torch
from tiny import with_statistics

from hrnas_mm.deploy import DeployableModel, onnx_bytes
from hrnas_mm.runtimes import (
    RUNTIMES,
    LocalTimer,
    Runtime,
    check_packages,
    profiled,
    runtime,
)

IMAGE = torch.randn(1, 3, 32, 48)


@pytest.fixture(scope='module')
def model() -> tiny.TinyModel:
    return with_statistics(
        tiny.TinyModel(dict(type='HRNASSupernet', **tiny.SUPERNET))
    ).eval()


# What runs a whole network at once; test_compile has a smaller one.
ON_CPU = [
    name
    for name, each in RUNTIMES.items()
    if 'cpu' in each.devices and not each.slow
]


def installed(name: str) -> Runtime:
    for package in RUNTIMES[name].packages:
        pytest.importorskip(package)
    return RUNTIMES[name]


@pytest.mark.parametrize('name', ON_CPU)
def test_output(name: str, model: tiny.TinyModel) -> None:
    timer = LocalTimer(installed(name))
    network = DeployableModel(model, timer.form)

    def make() -> Any:
        return onnx_bytes(network, IMAGE) if timer.onnx else network

    call = timer.ready(name, make, IMAGE)()
    with torch.no_grad():
        expected = model(IMAGE)
        found = torch.as_tensor(call()[0])
    bound = 1e-5 * expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=0, atol=bound)


def test_each_compiled_network_has_code_of_its_own(
    model: tiny.TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch would refuse the ninth network of one code."""
    compiled = []

    def compile(function: Any, dynamic: bool) -> Any:
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, 'compile', compile)
    load = RUNTIMES['compile'].load
    calls = [load(model, IMAGE, 'float32') for _ in range(2)]
    first, second = (function.__code__ for function in compiled)
    assert first is not second and first != second
    with torch.no_grad():
        torch.testing.assert_close(calls[0](), model(IMAGE))


def test_compile() -> None:
    module = torch.nn.Conv2d(3, 2, 1)
    with torch.no_grad():
        found = RUNTIMES['compile'].load(module, IMAGE, 'float32')()
    torch.testing.assert_close(found, module(IMAGE))


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'float16'])
def test_openvino_computes_in_a_dtype(
    dtype: str, model: tiny.TinyModel
) -> None:
    pytest.importorskip('openvino')
    network = DeployableModel(model, 'openvino')
    onnx = onnx_bytes(network, IMAGE)
    with torch.no_grad():
        expected = model(IMAGE)
    call: Any = RUNTIMES['openvino'].load(onnx, IMAGE, dtype)
    found = torch.as_tensor(call()[0])
    bound = dict(float32=1e-5, bfloat16=0.05, float16=0.01)[dtype]
    error = (found - expected).abs().max() / expected.abs().max()
    assert error < bound


@pytest.mark.parametrize('name', ['channels_last', 'onnxruntime', 'openvino'])
def test_profile(name: str, model: tiny.TinyModel) -> None:
    profiler = installed(name)
    assert profiler.form is not None
    network = DeployableModel(model, profiler.form)
    by_stage, by_operator = profiled(profiler, network, IMAGE)
    stages = {'backbone.stem', 'backbone.stages.0', 'backbone.stages.1'}
    assert stages | {'backbone.fuse', 'head'} <= set(by_stage)
    for shares in (by_stage, by_operator):
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
        assert sum(shares.values()) == pytest.approx(1)
    assert any('conv' in operator.lower() for operator in by_operator)
    # The hooks that know the stages are gone.
    assert not any(m._forward_hooks for m in network.modules())


def test_a_runtime_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        runtime, 'find_spec', lambda n: None if n == 'openvino' else n
    )
    with pytest.raises(ModuleNotFoundError, match='openvino is not installed'):
        check_packages(RUNTIMES['openvino'])
    check_packages(RUNTIMES['channels_last'])
