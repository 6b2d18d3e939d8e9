"""The search on a GPU; skipped where there is none."""

import copy
import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import tiny
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from killing import broken_off_and_resumed
from mmengine.config import Config
from mmengine.runner import Runner
from ranks import free_port, set_rank
from torch import Tensor, nn

from hrnas_mm.deploy import DeployableModel, check_onnx, export_onnx
from hrnas_mm.latency.networks import (
    conditions_of,
    ready_networks,
    time_networks,
)
from hrnas_mm.modules import MixConv
from hrnas_mm.runners import bare_model, evaluated_model
from hrnas_mm.runtimes import RUNTIMES, LocalTimer
from hrnas_mm.runtimes.devices import device_named
from hrnas_mm.search import architecture_of

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason='needs a GPU'
)
AMP = dict(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16')
TARGET = dict(rho=None, interval=None, target=0.5, threshold=0.01)


def config(work_dir: Path | str, amp: bool = True, **options: Any) -> Config:
    cfg = tiny.config(
        work_dir,
        24,
        ema=dict(momentum=0.3, update_buffers=True),
        **{**TARGET, **options},
    )
    cfg.randomness.deterministic = True
    cfg.model.dropout = 0.0  # the devices' generators differ
    if amp:
        cfg.optim_wrapper.update(AMP)
    return cfg


@pytest.fixture(autouse=True)
def _deterministic() -> Iterator[None]:
    """Runs repeat themselves, but for operators that cannot."""
    before = os.environ.get('CUBLAS_WORKSPACE_CONFIG')
    os.environ['CUBLAS_WORKSPACE_CONFIG'] = ':4096:8'
    yield
    torch.use_deterministic_algorithms(False)
    if before is None:
        del os.environ['CUBLAS_WORKSPACE_CONFIG']


def train(cfg: Config) -> Runner:
    # Bilinear interpolation has no deterministic backward pass there.
    use = torch.use_deterministic_algorithms
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            torch,
            'use_deterministic_algorithms',
            lambda mode: use(mode, warn_only=True),
        )
        runner = Runner.from_cfg(cfg)
        runner.train()
    return runner


def cost(runner: Runner) -> float:
    return tiny.history_of(runner)[-1]['macs']


def test_mixed_precision_meets_the_target_and_is_saved_whole(
    tmp_path: Path,
) -> None:
    cfg = config(tmp_path)
    cfg.log_level = 'INFO'
    runner = train(cfg)
    device = next(bare_model(runner).parameters()).device
    assert device.type == 'cuda'
    (log,) = tmp_path.glob('*/*.log')
    assert 'set memory_efficient=True' in log.read_text()
    whole = tiny.history_of(runner)[0]['macs']
    assert 0.485 * whole <= cost(runner) <= 0.5 * whole
    for param in bare_model(runner).parameters():
        assert torch.isfinite(param).all()
    saved = torch.load(tmp_path / 'iter_24.pth', weights_only=True)
    assert len(saved['rng_state'][0]['cuda']) == torch.cuda.device_count()
    assert {'ema_state_dict', 'search'} <= set(saved)
    assert 'loss_scaler' in saved['optimizer']


def test_stock_backbone_meets_the_target(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    cfg.model.backbone = tiny.STOCK
    runner = train(cfg)
    model: Any = evaluated_model(runner).eval()
    assert next(model.parameters()).device.type == 'cuda'
    whole = tiny.history_of(runner)[0]['macs']
    assert 0.485 * whole <= cost(runner) <= 0.5 * whole
    deployed = DeployableModel(model)
    x = torch.randn(1, 3, 64, 64, device='cuda')
    with torch.no_grad():
        torch.testing.assert_close(
            deployed(x)[0], model(x), rtol=1e-3, atol=1e-3
        )


def test_resumed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """As close to the uninterrupted run as that is to itself."""
    whole, again = (train(config(tmp_path / name)) for name in 'ab')
    resumed = broken_off_and_resumed(config(tmp_path / 'broken'), train, 14)
    assert [s['iter'] for s in tiny.history_of(resumed)] == [
        s['iter'] for s in tiny.history_of(whole)
    ]
    assert cost(resumed) == pytest.approx(cost(whole), rel=0.03)
    first, second, third = (
        cast(Any, evaluated_model(runner)).head.weight.detach().cpu()
        for runner in (whole, again, resumed)
    )
    spread = (first - second).abs().max().item()
    assert (first - third).abs().max().item() <= 10 * spread + 1e-2


def test_the_network_is_that_of_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In single precision, up to its tolerance and to a few elements."""
    on_gpu = train(config(tmp_path / 'gpu', amp=False))
    monkeypatch.setattr('mmengine.runner.runner.get_device', lambda: 'cpu')
    on_cpu = train(config(tmp_path / 'cpu', amp=False))
    assert next(on_cpu.model.parameters()).device.type == 'cpu'
    assert cost(on_gpu) == pytest.approx(cost(on_cpu), rel=0.03)
    first, second = (
        architecture_of(bare_model(runner)) for runner in (on_gpu, on_cpu)
    )
    differing = sum(abs(first[unit] - second[unit]) for unit in first)
    assert differing <= 0.15 * sum(second.values())


def test_onnx_file_of_a_network_on_a_gpu(tmp_path: Path) -> None:
    pytest.importorskip('onnxruntime')
    model = evaluated_model(train(config(tmp_path)))
    path = str(tmp_path / 'model.onnx')
    export_onnx(model, (3, 32, 32), path)
    deployed = DeployableModel(model)
    images = torch.randn(2, 3, 32, 32, device='cuda')
    with torch.no_grad():
        expected = model.eval()(images)
        found = (deployed(images)[0], torch.compile(deployed)(images)[0])
    bound = 1e-2 * expected.abs().max().item()  # convolutions use TF32
    for out in found:
        torch.testing.assert_close(out, expected, rtol=0, atol=bound)
    assert check_onnx(path, model, torch.randn(1, 3, 32, 32)) < 1e-3


def work(rank: int, port: int, folder: str) -> None:
    set_rank(rank, port)
    cfg = config(folder)
    cfg.launcher = 'pytorch'
    runner = train(cfg)
    state = {
        name: value.cpu()
        for name, value in bare_model(runner).state_dict().items()
        if 'running' not in name
    }
    torch.save((state, cost(runner)), os.path.join(folder, f'rank{rank}.pth'))
    dist.destroy_process_group()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason='needs two GPUs')
def test_two_ranks_under_nccl(tmp_path: Path) -> None:
    mp.spawn(work, (free_port(), str(tmp_path)), nprocs=2)
    (first, macs), (second, other) = (
        torch.load(tmp_path / f'rank{rank}.pth') for rank in range(2)
    )
    assert macs == other
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def outputs_and_gradients(block: nn.Module, x: Tensor, amp: bool) -> list[Any]:
    x = x.detach().requires_grad_()
    block.zero_grad()
    with torch.autocast('cuda', torch.float16, enabled=amp):
        out = block(x)
    out.square().sum().backward()
    params = [param.grad for param in block.parameters()]
    running = [b for b in block.buffers() if b.is_floating_point()]
    return [out.detach(), x.grad, *params, *running]


@pytest.mark.parametrize('channels, stride', [(18, 1), (18, 2), (160, 1)])
def test_memory_efficient_form_is_the_plain_one(
    channels: int, stride: int
) -> None:
    """Compare whole paths and paths in parts, in float64 and in AMP."""
    plain = MixConv(channels, 24, stride).double().cuda()
    plain.memory_efficient = False
    x = torch.randn(4, channels, 24, 32, dtype=torch.double, device='cuda')
    if stride == 1:
        x = x.contiguous(memory_format=torch.channels_last)
    efficient = copy.deepcopy(plain)
    efficient.memory_efficient = True
    half = {
        form: copy.deepcopy(plain).float() for form in ('plain', 'efficient')
    }
    half['efficient'].memory_efficient = True
    exact = outputs_and_gradients(plain, x, False)
    found = outputs_and_gradients(efficient, x, False)
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=1e-9)
    errors = {
        form: statistics.geometric_mean(
            ((a - b).norm() / b.norm()).item()
            for a, b in zip(
                outputs_and_gradients(block, x.float(), True), exact
            )
        )
        for form, block in half.items()
    }
    assert 0 < errors['efficient'] < 1.5 * errors['plain']


@pytest.mark.parametrize('backend', ['channels_last', 'compile', 'cuda_graph'])
@pytest.mark.parametrize('dtype', ['float32', 'float16'])
def test_networks_are_timed_on_the_gpu(backend: str, dtype: str) -> None:
    timer = LocalTimer(RUNTIMES[backend], 'cuda', dtype)
    assert device_named(timer.device) == torch.device('cuda')
    conditions = conditions_of(timer, (3, 32, 48), 8)
    assert (conditions.device, conditions.dtype) == (timer.device, dtype)
    model = tiny.TinyModel(dict(type='HRNASSupernet', **tiny.SUPERNET)).eval()
    ready = ready_networks(dict(tiny=model), conditions, timer)
    times = time_networks(ready, timer, limit=0.0)
    assert min(*times.networks, times.reference) > 0


def test_a_replayed_graph_computes_what_the_network_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    model = tiny.TinyModel(dict(type='HRNASSupernet', **tiny.SUPERNET)).eval()
    model.cuda()
    image = torch.randn(2, 3, 32, 48, device='cuda')
    with torch.no_grad():
        expected = model(image)
        network = DeployableModel(model, 'torch')
        call: Any = RUNTIMES['cuda_graph'].load(network, image, 'float32')
        # Nobody else has the deployed weights: they must not be overwritten.
        others = [image.new_full((n,), torch.nan) for n in range(2048)]
        found = call()[0]
        del others
    bound = 1e-5 * expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=0, atol=bound)


def test_networks_are_exported_beside_the_gpu() -> None:
    """In processes forked from one that uses it."""
    pytest.importorskip('onnxscript')
    torch.zeros(1, device='cuda')
    timer = LocalTimer(RUNTIMES['onnxruntime'])
    conditions = conditions_of(timer, (3, 32, 48), 16)
    model = tiny.TinyModel(dict(type='HRNASSupernet', **tiny.SUPERNET)).eval()
    ready = ready_networks(dict(tiny=model), conditions, timer)
    assert min(time_networks(ready, timer, limit=0.0).networks) > 0
