"""MixConv, searching block and fusion against the paper's formulas."""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnas_mm.modules import (
    ConvNormAct,
    FusionModule,
    MixConv,
    SearchingBlock,
    init_conv_,
)
from hrnas_mm.search import architecture_of, shrink_


@pytest.mark.parametrize('stride, size', [(1, (8, 9)), (2, (9, 12))])
def test_mixconv_is_eq5_with_split_and_concatenation(
    stride: int, size: tuple[int, int]
) -> None:
    """One wide expansion, split, depthwise, concatenate, one projection."""
    block: Any = MixConv(4, 6, stride, (3, 5), expand_ratio=2)
    block.double().train()
    x = torch.randn(3, 4, *size, dtype=torch.double)
    paths = list(block.paths.values())
    wide = torch.cat([p.expand.conv.weight for p in paths])
    scale = torch.cat([p.expand.norm.weight for p in paths])
    shift = torch.cat([p.expand.norm.bias for p in paths])
    mid = F.conv2d(x, wide)
    mid = F.relu(
        F.batch_norm(mid, None, None, scale, shift, training=True, eps=1e-3)
    )
    parts = []
    for path, part in zip(paths, mid.split(8, 1)):
        conv = path.depthwise.conv
        part = F.conv2d(
            part, conv.weight, None, stride, conv.padding, groups=8
        )
        norm = path.depthwise.norm
        parts.append(
            F.relu(
                F.batch_norm(
                    part,
                    None,
                    None,
                    norm.weight,
                    norm.bias,
                    training=True,
                    eps=1e-3,
                )
            )
        )
    project = torch.cat([p.project.weight for p in paths], 1)
    out = F.conv2d(torch.cat(parts, 1), project)
    out = F.batch_norm(
        out,
        None,
        None,
        block.norm.weight,
        block.norm.bias,
        training=True,
        eps=1e-3,
    )
    torch.testing.assert_close(block(x), out)


def test_block_is_the_sum_of_its_three_parts() -> None:
    block: Any = SearchingBlock(4, 6, 2, num_tokens=3).eval()
    x = torch.randn(2, 4, 9, 10)
    expected = block.shortcut(x) + block.mixconv(x) + block.transformer(x)
    torch.testing.assert_close(block(x), expected)
    assert block.shortcut.groups == 2
    assert isinstance(SearchingBlock(4, 4).shortcut, nn.Identity)


@pytest.mark.parametrize('momentum', [0.1, None])
@pytest.mark.parametrize('dtype', [torch.float, torch.double])
@pytest.mark.parametrize('memory_efficient', [True, False])
def test_checkpointing_changes_nothing(
    memory_efficient: bool, dtype: torch.dtype, momentum: float | None
) -> None:
    """Nor do running statistics move twice; some norms are frozen."""
    torch.manual_seed(1)
    block: Any = SearchingBlock(
        4,
        4,
        num_tokens=3,
        memory_efficient=memory_efficient,
        norm_layer=partial(nn.BatchNorm2d, momentum=momentum),
    ).to(dtype)
    block.mixconv.norm.eval()
    twin = copy.deepcopy(block)
    twin.with_cp = True
    twin.mixconv.keep = False
    x = torch.randn(2, 4, 8, 8, dtype=dtype)
    found = []
    for net in (block, twin):
        for _ in range(2):
            leaf = x.clone().requires_grad_()
            net(leaf).square().sum().backward()
        grads = [leaf.grad, *(p.grad for p in net.parameters())]
        found.append([*grads, *net.buffers()])
        assert net.mixconv.norm.momentum == momentum
    torch.testing.assert_close(*found)


def test_fusion_sums_neighbours_and_grows_a_branch() -> None:
    torch.manual_seed(2)

    def conv(a: int, b: int, stride: int = 1) -> nn.Module:
        return nn.Conv2d(a, b, 3, stride, 1)

    fusion: Any = FusionModule([3, 4, 5], [2, 3, 4, 6], conv)
    a, b, c = (torch.randn(1, n, s, s) for n, s in ((3, 9), (4, 5), (5, 3)))
    out = fusion([a, b, c])
    f = list(fusion.fuse.values())

    def up(x: Tensor, size: Sequence[int]) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode='nearest')
        return F.interpolate(x, size, mode='bilinear')

    lowest = F.relu(f[2]['1'](b) + f[2]['2'](c))
    torch.testing.assert_close(
        out[0], F.relu(f[0]['0'](a) + up(f[0]['1'](b), (9, 9)))
    )
    torch.testing.assert_close(
        out[1], F.relu(f[1]['0'](a) + f[1]['1'](b) + up(f[1]['2'](c), (5, 5)))
    )
    torch.testing.assert_close(out[2], lowest)
    torch.testing.assert_close(out[3], fusion.grow(lowest))
    assert set(f[0]) == {'0', '1'}


def test_initial_weights_have_fan_out_variance_depthwise_included() -> None:
    for conv in (nn.Conv2d(64, 96, 3), nn.Conv2d(512, 512, 7, groups=512)):
        init_conv_(conv)
        fan_out = conv.kernel_size[0] ** 2 * conv.out_channels / conv.groups
        assert conv.weight.std().item() == pytest.approx(
            (2 / fan_out) ** 0.5, rel=0.05
        )


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(kernel_sizes=(3, 4)), r'kernel_sizes must be odd, got \(3, 4\)'),
        (dict(kernel_sizes=(3, 3)), 'different sizes'),
        (dict(kernel_sizes=()), 'at least one'),
        (dict(expand_ratio=0), 'at least one channel'),
        (dict(num_tokens=-1), 'num_tokens must be 0 .* got -1'),
        (dict(norm_layer=lambda n: nn.GroupNorm(1, n)), 'norm_cfg must be'),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchingBlock(4, 4, **options)


def test_norm_of_a_plain_conv_is_checked_too() -> None:
    with pytest.raises(ValueError, match='norm_cfg must be'):
        ConvNormAct(3, 4, norm_layer=nn.InstanceNorm2d)


def test_paths_keep_their_names() -> None:
    block = MixConv(4, 4, kernel_sizes=(3, 5, 7))
    shrink_(block, {'k5': torch.arange(0)})
    assert list(block.paths) == ['k3', 'k7']
    assert architecture_of(block) == dict(k3=16, k5=0, k7=16)
