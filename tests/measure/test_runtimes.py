"""Runtimes compute what torch does, and profiles add up."""

import pytest
import tiny
import torch
from tiny import with_statistics

from hrnas_mm.deploy import DeployableModel
from hrnas_mm.measure import FORM, PROFILERS, RUN, check_runtimes, profiled

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


@pytest.mark.parametrize('name', [n for n in RUN if n != 'compile'])
def test_output(name, model):
    call = RUN[runtime(name)](DeployableModel(model, FORM[name]), IMAGE)
    with torch.no_grad():
        expected = model(IMAGE)
        found = torch.as_tensor(call()[0])
    bound = 1e-5 * expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=0, atol=bound)


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
