"""Runtimes compute what torch does, and profiles add up."""

import pytest
import tiny
import torch
from hrnas_mm.runtimes.registry import in_openvino, onnx_bytes
from tiny import with_statistics

from hrnas_mm.deploy import DeployableModel
from hrnas_mm.measure import (
    FORM,
    PROFILERS,
    RUN,
    check_runtimes,
    devices_of,
    profiled,
)

IMAGE = torch.randn(1, 3, 32, 48)


@pytest.fixture(scope='module')
def model():
    return with_statistics(
        tiny.TinyModel(dict(type='HRNASSupernet', **tiny.SUPERNET))
    ).eval()


def runtime(name):
    if name != 'channels_last':
        pytest.importorskip(name)
    return name


@pytest.mark.parametrize(
    'name', [n for n in RUN if n != 'compile' and 'cpu' in devices_of(n)]
)
def test_output(name, model):
    call = RUN[runtime(name)](DeployableModel(model, FORM[name]), IMAGE)
    with torch.no_grad():
        expected = model(IMAGE)
        found = torch.as_tensor(call()[0])
    bound = 1e-5 * expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=0, atol=bound)


def test_each_compiled_network_has_code_of_its_own(model, monkeypatch):
    """Torch would refuse the ninth network of one code."""
    compiled = []
    monkeypatch.setattr(
        torch, 'compile', lambda f, dynamic: compiled.append(f) or f
    )
    calls = [RUN['compile'](model, IMAGE) for _ in range(2)]
    first, second = (function.__code__ for function in compiled)
    assert first is not second and first != second
    with torch.no_grad():
        torch.testing.assert_close(calls[0](), model(IMAGE))


def test_compile():
    module = torch.nn.Conv2d(3, 2, 1)
    with torch.no_grad():
        found = RUN['compile'](module, IMAGE)()
    torch.testing.assert_close(found, module(IMAGE))


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'float16'])
def test_openvino_computes_in_a_dtype(dtype, model):
    pytest.importorskip('openvino')
    network = DeployableModel(model, 'openvino')
    onnx = onnx_bytes(network, IMAGE)
    with torch.no_grad():
        expected = model(IMAGE)
    found = torch.as_tensor(in_openvino(onnx, IMAGE, dtype)()[0])
    bound = dict(float32=1e-5, bfloat16=0.05, float16=0.01)[dtype]
    error = (found - expected).abs().max() / expected.abs().max()
    assert error < bound


@pytest.mark.parametrize('name', PROFILERS)
def test_profile(name, model):
    network = DeployableModel(model, FORM[runtime(name)])
    by_stage, by_operator = profiled(name, network, IMAGE)
    stages = {'backbone.stem', 'backbone.stages.0', 'backbone.stages.1'}
    assert stages | {'backbone.fuse', 'head'} <= set(by_stage)
    for shares in (by_stage, by_operator):
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
        assert sum(shares.values()) == pytest.approx(1)
    assert any('conv' in operator.lower() for operator in by_operator)
    # The hooks that know the stages are gone.
    assert not any(m._forward_hooks for m in network.modules())


def test_a_runtime_that_is_not_installed(monkeypatch):
    monkeypatch.setattr('hrnas_mm.measure.runtimes.find_spec', lambda _: None)
    with pytest.raises(ModuleNotFoundError, match='openvino is not installed'):
        check_runtimes(['openvino'])
    check_runtimes(['channels_last'])
