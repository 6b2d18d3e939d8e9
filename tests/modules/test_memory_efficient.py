"""The memory-efficient training form of MixConv against the readable one."""

import copy
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from pairwise import pairwise
from ranks import free_port, set_rank
from torch import Tensor, nn

from hrnas_mm.modules import (
    MixConv,
    SearchingBlock,
    batch_norm,
    memory_efficient,
)
from hrnas_mm.modules.batch_norm import PIXELS, norm_backward
from hrnas_mm.modules.memory_efficient import memory_efficient_sum
from hrnas_mm.modules.primitives.pointwise import convolved
from hrnas_mm.search import architecture_of, select_alive, shrink_


def silu() -> nn.Module:
    return nn.SiLU(inplace=True)


def frozen(block: MixConv) -> None:
    """Norms with running statistics, as with norm_eval."""
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def shrunk(block: Any) -> None:
    """A path has gone, of another a part."""
    with torch.no_grad():
        block.paths.k5.depthwise.norm.weight.zero_()
        block.paths.k7.depthwise.norm.weight[3:] = 0
    shrink_(block, select_alive([block], 1e-3))
    left = architecture_of(block)
    assert (left['k5'], left['k7']) == (0, 3) < (left['k3'],)


CASES: dict[str, dict[str, Any]] = dict(
    plain=dict(),
    stride=dict(stride=2),
    other=dict(act_layer=silu, expand_ratio=3),
    wide=dict(expand_ratio=150),  # in parts, of unequal sizes
    deep=dict(in_channels=80, expand_ratio=0.1),  # keeps the expansions
    frugal=dict(keep=False, stride=2),
    sharp=dict(act_layer=nn.ReLU6, stride=2),
    cumulative=dict(norm_layer=partial(nn.BatchNorm2d, momentum=None)),
    untracked=dict(
        norm_layer=partial(nn.BatchNorm2d, track_running_stats=False)
    ),
)


def statistics_of_another_batch(block: nn.Module) -> None:
    """Running statistics that are neither 0 and 1 nor those of the test."""
    with torch.no_grad():
        for buffer in block.buffers():
            if buffer.is_floating_point():
                buffer += torch.rand_like(buffer)


def block_of(
    change: Callable[[MixConv], None] | None = None, **options: Any
) -> MixConv:
    options = {'in_channels': 4, 'out_channels': 6, **options}
    block = MixConv(**options).double().train()
    statistics_of_another_batch(block)
    with torch.no_grad():
        for name, param in block.named_parameters():
            if 'norm' in name:
                param.normal_(1, 0.5)
    if change:
        change(block)
    return block


def everything(block: nn.Module, x: Tensor, grad: Tensor) -> list[Any]:
    """Outputs, gradients and buffers of two steps."""
    found = []
    for scale in (1, 2):
        x = (x.detach() * scale).requires_grad_()
        out = block(x)
        out.backward(grad)
        found += [out.detach(), x.grad]
    found += [param.grad for param in block.parameters()]
    return found + list(block.buffers())


@pytest.mark.parametrize(
    'case, change, form',
    pairwise(list(CASES), (None, frozen, shrunk), ('as one', 'one by one')),
)
def test_is_the_same_function(
    case: str,
    change: Callable[[MixConv], None] | None,
    form: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worth = math.inf if form == 'as one' else 0
    monkeypatch.setattr(memory_efficient, 'WORTH_A_PATH', worth)
    block = block_of(change, **CASES[case])
    plain = copy.deepcopy(block)
    plain.memory_efficient = False
    x = torch.randn(3, block.in_channels, 9, 7, dtype=torch.double) * 3 + 2
    if case in ('stride', 'wide', 'deep'):
        x = x.contiguous(memory_format=torch.channels_last)
    grad = torch.randn_like(block(x))
    plain.load_state_dict(block.state_dict())
    block.zero_grad()
    found, expected = (everything(b, x, grad) for b in (block, plain))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ('wanted', 'on'), [(None, 'cpu'), (True, 'cpu meta'), (False, '')]
)
def test_the_default_follows_the_device(wanted: bool | None, on: str) -> None:
    """On a GPU, for which 'meta' stands, it would take longer."""
    for device in ('cpu', 'meta'):
        block = block_of(memory_efficient=wanted).to(device)
        x = torch.empty(2, 4, 8, 8, device=device, dtype=torch.double)
        assert block.saves_memory(x) == (device in on.split())


@pytest.mark.parametrize('width', [1, 2, 3])
def test_kernels_that_reach_beyond_the_map(width: int) -> None:
    block = block_of(kernel_sizes=(3, 9, 11))
    plain = copy.deepcopy(block)
    plain.memory_efficient = False
    x = torch.randn(3, 4, 5, width, dtype=torch.double)
    grad = torch.randn_like(plain(x))
    plain.load_state_dict(block.state_dict())
    found, expected = (everything(b, x, grad) for b in (block, plain))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_is_as_precise_under_autocast(dtype: torch.dtype) -> None:
    """About as far from float64 as the readable form in this precision.

    On average: single gradients differ where a ReLU is at its corner.
    """
    exact = block_of()
    exact.memory_efficient = False
    plain = copy.deepcopy(exact).float()
    efficient = copy.deepcopy(plain)
    efficient.memory_efficient = True
    x = torch.randn(4, 4, 16, 12)
    grad = torch.randn(4, 6, 16, 12)
    expected = everything(exact, x.double(), grad.double())
    errors = []
    for block in (plain, efficient):
        with torch.autocast('cpu', dtype):
            found = everything(block, x, grad)
        assert found[0].dtype == dtype or block is plain
        distances = [
            (a - b).double().norm() / b.norm()
            for a, b in zip(found, expected)
            if b.is_floating_point()
        ]
        errors.append(torch.stack(distances).log().mean().exp())
    assert 0 < errors[1] < 1.5 * errors[0]


def errors(
    exact: nn.Module, block: nn.Module, x: Tensor, grad: Tensor
) -> Tensor:
    """How far from float64 each output, gradient and buffer is."""
    expected = everything(copy.deepcopy(exact), x.double(), grad.double())
    return torch.stack(
        [
            (a - b).norm() / b.norm()
            for a, b in zip(everything(block, x, grad), expected)
            if b.is_floating_point()
        ]
    )


@pytest.mark.parametrize('ratio, most', [(0, 4), (10, 3), (100, 1)])
@pytest.mark.parametrize(
    'layout', [torch.contiguous_format, torch.channels_last]
)
def test_is_as_precise_where_means_are_large(
    ratio: float, most: float, layout: torch.memory_format
) -> None:
    """About as far from float64 as the readable form, whatever the mean.

    The activation has no corner, where a rounding would flip a gradient.
    """
    totals: list[Any] = [0.0, 0.0]
    for seed in range(4):
        torch.manual_seed(seed)
        exact = block_of(in_channels=8, act_layer=silu, memory_efficient=False)
        plain = copy.deepcopy(exact).float()
        exact = copy.deepcopy(plain).double()
        efficient = copy.deepcopy(plain)
        efficient.memory_efficient = True
        x = torch.randn(4, 8, 16, 12) + ratio * torch.randn(8, 1, 1)
        x = x.contiguous(memory_format=layout)
        grad = torch.randn(4, 6, 16, 12)
        for i, block in enumerate((plain, efficient)):
            totals[i] += errors(exact, block, x, grad) / 4
    rounding = torch.finfo(torch.float).eps
    assert (totals[1] < most * totals[0] + rounding).all()


def test_gradients_of_a_synchronised_norm_far_from_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As precise as torch's own, with a group of one process."""
    monkeypatch.setattr(batch_norm, 'sum_over_', lambda tensor, group: None)
    torch.manual_seed(0)
    x = torch.randn(2, 3, 32, 32) + 300
    grad, scale = torch.randn_like(x) + x - 300, torch.rand(3)
    exact: Any = x.double().requires_grad_()
    F.batch_norm(
        exact, None, None, scale.double(), None, True, 0.0, 1e-5
    ).backward(grad.double())
    wide = x.double()
    moments = batch_norm.Moments(
        wide.mean(PIXELS).float(),
        (wide.var(PIXELS, correction=0) + 1e-5).rsqrt().float(),
        x.numel() / 3,
        1e-5,
    )
    far = [
        (norm_backward(grad, x, moments, scale, group)[0] - exact.grad).norm()
        for group in ('group', None)
    ]
    assert far[0] < 1.1 * far[1]


def rank_main(
    rank: int,
    port: int,
    inputs: Sequence[Tensor],
    grads: Sequence[Tensor],
    block: Any,
    queue: Any,
) -> None:
    torch.set_num_threads(1)
    set_rank(rank, port)
    dist.init_process_group('gloo')
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(block)
    x: Any = inputs[rank].requires_grad_()
    out = memory_efficient_sum(synced.paths.values(), x)
    out.backward(grads[rank])
    queue.put(
        (
            rank,
            [out.detach().numpy(), x.grad.numpy()],
            [p.grad.numpy() for p in synced.paths.parameters()],
            [b.numpy() for b in synced.paths.buffers()],
        )
    )
    dist.destroy_process_group()


@pytest.mark.parametrize('case', ['plain', 'wide'])
def test_synchronised_norms_see_the_pixels_of_all_ranks(case: str) -> None:
    """Two ranks, of 3 images and of 2, against one process with all 5."""
    block = block_of(**CASES[case])
    inputs = torch.randn(5, 4, 6, 5, dtype=torch.double).split([3, 2])
    grads = torch.randn(5, 6, 6, 5, dtype=torch.double).split([3, 2])
    context = torch.multiprocessing.get_context('fork')
    queue, port = context.Queue(), free_port()
    ranks = [
        context.Process(
            target=rank_main, args=(i, port, inputs, grads, block, queue)
        )
        for i in range(2)
    ]
    for process in ranks:
        process.start()
    (_, *first), (_, *second) = sorted(queue.get(timeout=60) for _ in ranks)
    for process in ranks:
        process.join()
    x = torch.cat(inputs).requires_grad_()
    out = sum(path(x) for path in block.paths.values())
    out.backward(torch.cat(grads))
    for i, whole in enumerate((out.detach(), x.grad)):
        parts = [torch.from_numpy(rank[0][i]) for rank in (first, second)]
        torch.testing.assert_close(
            torch.cat(parts), whole, rtol=1e-9, atol=1e-9
        )
    for a, b, param in zip(first[1], second[1], block.paths.parameters()):
        total = torch.from_numpy(a + b)
        torch.testing.assert_close(total, param.grad, rtol=1e-9, atol=1e-9)
    for rank in (first, second):
        for found, buffer in zip(rank[2], block.paths.buffers()):
            torch.testing.assert_close(torch.from_numpy(found), buffer)


def kept(block: nn.Module, x: Tensor) -> float:
    """Values that are kept for the backward pass, each memory once."""
    sizes = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = len(storage) / 4
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        out = block(x)
    sizes.pop(x.untyped_storage().data_ptr(), None)
    del out
    return sum(sizes.values())


def test_keeps_an_expanded_map_of_the_larger_kernels() -> None:
    """As much as a fifth of the readable form, or with with_cp nearly none."""
    block = SearchingBlock(8, 8, num_tokens=0).train()
    frugal = SearchingBlock(8, 8, num_tokens=0, with_cp=True).train()
    x = torch.randn(2, 8, 64, 64, requires_grad=True)
    pixels, expanded = 2 * 64 * 64, 32
    others = 1.5 * 8  # the input of the last norm, and parameters
    assert kept(block, x) < pixels * (2 * expanded + others)
    assert kept(frugal, x) < pixels * others
    block.mixconv.memory_efficient = False
    assert kept(block, x) > 3.5 * pixels * 3 * expanded


@pytest.mark.parametrize('groups, size', [(1, 8), (3, 8), (3, 20)])
def test_projections_of_small_maps_and_with_groups_are_products(
    groups: int, size: int
) -> None:
    conv = nn.Conv2d(6, 9, 1, groups=groups, bias=False).double()
    x = torch.randn(2, 6, size, size, dtype=torch.double, requires_grad=True)
    grad = torch.randn(2, 9, size, size, dtype=torch.double)
    inputs = (x, conv.weight)
    out, expected = convolved(conv, x), conv(x)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(
        torch.autograd.grad(out, inputs, grad),
        torch.autograd.grad(expected, inputs, grad),
    )
    conv.register_forward_hook(lambda *args: args[2] * 0)
    assert not convolved(conv, x).any()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.double])
def test_goes_without_where_weights_have_16_bits(dtype: torch.dtype) -> None:
    block = MixConv(4, 4, memory_efficient=True).to(dtype).train()
    x = torch.randn(2, 4, 8, 8, dtype=dtype)
    assert block.saves_memory(x) == (dtype is torch.double)
    block(x).sum().backward()


def test_goes_without_where_it_would_pass_something_by() -> None:
    block: Any = MixConv(4, 4).train()
    x = torch.randn(2, 4, 8, 8)
    seen = []
    handle = block.paths.k3.depthwise.conv.register_forward_hook(
        lambda *args: seen.append(1)
    )
    block(x).sum().backward()
    assert len(seen) == 1
    handle.remove()
    block.paths.k3.expand.conv = nn.Sequential(block.paths.k3.expand.conv)
    block(x).sum().backward()
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        MixConv(4, 4).train()(x[:1, :, :1, :1])
