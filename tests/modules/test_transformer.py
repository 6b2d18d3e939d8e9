"""The lightweight Transformer against the paper's equations, written out."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnas_mm.modules import LightweightTransformer
from hrnas_mm.modules.conv import Constant
from hrnas_mm.modules.position import Map2d
from hrnas_mm.search import shrink_


def norm(x: Tensor, layer: Any) -> Tensor:
    """Evaluation-mode batch normalisation of (B, C, H, W)."""
    shape = (1, -1, 1, 1)
    mean, var = layer.running_mean.view(shape), layer.running_var.view(shape)
    x = (x - mean) / (var + layer.eps).sqrt()
    return x * layer.weight.view(shape) + layer.bias.view(shape)


def conv1x1(x: Tensor, conv: Any) -> Tensor:
    return torch.einsum('oc,bchw->bohw', conv.weight[:, :, 0, 0], x)


def attend(q: Tensor, kv: Tensor, layer: Any, heads: int) -> Tensor:
    """Eq. (3), head by head."""
    out = []
    d = layer.query.weight.shape[0] // heads
    for i in range(heads):
        rows = slice(i * d, (i + 1) * d)
        a = (
            (q @ layer.query.weight[rows].T)
            @ (kv @ layer.key.weight[rows].T).transpose(1, 2)
            / math.sqrt(d)
        )
        out.append(a.softmax(-1) @ (kv @ layer.value.weight[rows].T))
    return torch.cat(out, -1) @ layer.out.weight.T


def layer_norm(x: Tensor, layer: Any) -> Tensor:
    x = x - x.mean(-1, keepdim=True)
    x = x / (x.square().mean(-1, keepdim=True) + layer.eps).sqrt()
    return x * layer.weight + layer.bias


def ffn(x: Tensor, layer: Any) -> Tensor:
    """Eq. (4)."""
    w1, _, w2 = layer.ffn
    return torch.relu(x @ w1.weight.T + w1.bias) @ w2.weight.T + w2.bias


def encode(q: Tensor, kv: Tensor, layer: Any, heads: int) -> Tensor:
    x = layer_norm(
        q + attend(q, kv, layer.attention, heads), layer.attention_norm
    )
    return layer_norm(x + ffn(x, layer), layer.ffn_norm)


def paper(x: Tensor, block: Any, heads: int, s: int, stride: int) -> Tensor:
    """Sec. 3.1 in the paper's order: project, then resize."""
    b, _, h, w = x.shape
    i = torch.arange(h, dtype=x.dtype) / h
    j = torch.arange(w, dtype=x.dtype) / w
    position = torch.stack(torch.meshgrid(i, j, indexing='ij'))  # Eq. (2)
    x = torch.cat([x, position.expand(b, -1, -1, -1)], 1)  # Eq. (1)
    x = norm(conv1x1(x, block.project_in.conv), block.project_in.norm)
    x = F.interpolate(x, (s, s), mode='bilinear', align_corners=False)
    tokens = x.flatten(2)
    memory = encode(tokens, tokens, block.encoder, heads)
    queries = block.queries.expand(b, -1, -1)
    out = encode(queries, memory, block.decoder, heads)
    out = norm(
        conv1x1(out.unflatten(2, (s, s)), block.project_out), block.norm
    )
    size = (math.ceil(h / stride), math.ceil(w / stride))
    return F.interpolate(out, size, mode='bilinear', align_corners=False)


def randomize_(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 1.5)
    return model


@pytest.mark.parametrize(
    'heads, stride, size', [(1, 1, (16, 24)), (2, 2, (9, 13)), (1, 2, (4, 3))]
)
def test_equals_the_paper(
    heads: int, stride: int, size: tuple[int, int]
) -> None:
    block = LightweightTransformer(
        5, 7, stride, num_tokens=6, num_heads=heads, head_dims=16
    ).double()
    randomize_(block).eval()
    x = torch.randn(2, 5, *size, dtype=torch.double)
    torch.testing.assert_close(block(x), paper(x, block, heads, 8, stride))


@pytest.mark.parametrize('size', [(16, 24), (7, 5), (64, 128)])
def test_position_map_is_that_of_eq2_resized(size: tuple[int, int]) -> None:
    i = torch.arange(size[0])[:, None].expand(size) / size[0]
    j = torch.arange(size[1]).expand(size) / size[1]
    full = torch.stack([i, j])[None]
    expected = F.interpolate(full, (8, 8), mode='bilinear')
    x = torch.empty(3, 1, *size)
    torch.testing.assert_close(Map2d(8)(x), expected.expand(3, -1, -1, -1))


@pytest.mark.parametrize(
    'position, channels',
    [('map2d', 2), ('sinusoidal', 128), ('learned', 128), ('none', 0)],
)
@pytest.mark.parametrize('position_in', ['encoder', 'both'])
def test_every_encoding_trains_and_shrinks(
    position: str, channels: int, position_in: str
) -> None:
    block = LightweightTransformer(
        4,
        num_tokens=5,
        token_size=4,
        position=position,
        position_in=position_in,
    )
    assert block.position(torch.zeros(2, 4, 9, 9)).shape == (2, channels, 4, 4)
    shrink_(block, {'tokens': torch.tensor([1, 4])})
    x = torch.randn(2, 4, 9, 9, requires_grad=True)
    out = block(x)
    assert out.shape == (2, 4, 9, 9)
    out.square().sum().backward()
    assert all(p.grad is not None for p in block.parameters())


def test_images_of_a_batch_do_not_mix() -> None:
    block = LightweightTransformer(4, num_tokens=5).eval()
    x = torch.randn(3, 4, 12, 12)
    torch.testing.assert_close(block(x)[1:2], block(x[1:2]))


def test_without_tokens_a_constant_is_left() -> None:
    block: Any = torch.nn.ModuleDict(
        dict(
            a=LightweightTransformer(4, num_tokens=2),
            b=LightweightTransformer(4, num_tokens=2),
        )
    )
    bias = block['a'].norm.bias
    shrink_(block, {'a.tokens': torch.arange(0)})
    assert isinstance(block['a'].norm, Constant)
    assert list(block['a'].parameters()) == [bias]
    assert block['a'](torch.zeros(2, 4, 8, 8)).shape == (4, 1, 1)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(num_tokens=0), 'num_tokens must be positive, got 0'),
        (dict(token_size=-1), 'token_size must be positive, got -1'),
        (dict(ffn_dims=0), 'ffn_dims must be positive'),
        (dict(position='3d'), "position must be one of .* got '3d'"),
        (dict(position_in='decoder'), "position_in must be .* got 'decoder'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LightweightTransformer(4, **options)
