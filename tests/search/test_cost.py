"""Multiply-adds against torch's own counter and against the paper."""

import copy
from typing import Any

import pytest
import torch
from counting import counted, random_keep
from tiny import supernet
from torch import Tensor, nn

from hrnas_mm.models import HRNASSupernet
from hrnas_mm.modules import LightweightTransformer
from hrnas_mm.search import (
    CostModel,
    Eq6,
    architecture_of,
    shrink_,
    trace,
)
from hrnas_mm.search.formulas import attention_macs, conv_macs, strided


def test_formulas() -> None:
    assert conv_macs(3, 8, 3, (5, 7)) == 3 * 8 * 9 * 35
    assert conv_macs(8, 8, 5, (5, 7), groups=8) == 8 * 25 * 35
    assert attention_macs(4, 6, 64) == 4 * 6 * 64 * 2
    assert strided((7, 8), 2) == (4, 4)


SIZES = [(3, 64, 64), (3, 67, 93), (3, 32, 100)]
OPTIONS = [
    {},
    dict(num_tokens=0),
    dict(transformer=dict(position='sinusoidal', position_in='both')),
    dict(transformer=dict(position='learned', num_heads=2, head_dims=4)),
    dict(fuse_channels=None, transformer=dict(position='none', ffn_dims=5)),
]


@pytest.mark.parametrize(
    'options, shape', zip(OPTIONS, [*SIZES, *SIZES], strict=False)
)
def test_equals_flop_counter_after_each_shrink(
    options: dict[str, Any], shape: tuple[int, int, int]
) -> None:
    """Of the supernet both are one count: it is the shrunk ones that tell."""
    model = supernet(**options)
    cost_model = CostModel(model, shape)
    for _ in range(2):
        shrink_(model, random_keep(model))
        architecture = architecture_of(model)
        assert cost_model.total(architecture) == counted(
            copy.deepcopy(model), shape
        )
    found = trace(model, shape).macs
    for name in ('stem', 'stages.0', 'stages.1.branches', 'fuse'):
        assert cost_model.macs_within(name, architecture) == found.get(name, 0)


def test_transformer_macs_written_out() -> None:
    n, c, c_out, s2, d, f = 5, 7, 9, 16, 8, 24
    block = LightweightTransformer(
        c, c_out, num_tokens=n, token_size=4, head_dims=d, ffn_dims=f
    )
    layer = 4 * n * s2 * d + 2 * n * n * d + 2 * n * s2 * f  # Sec. 3.1
    expected = (c + 2) * n * s2 + 2 * layer + n * c_out * s2
    assert block.macs(dict(tokens=n), (13, 17)) == expected
    assert counted(block, (c, 13, 17)) == expected
    assert block.macs(dict(tokens=0), (13, 17)) == 0


def test_paper_supernet_at_cityscapes_size() -> None:
    class Segmentor(nn.Module):
        def __init__(self, num_tokens: int) -> None:
            super().__init__()
            self.backbone = HRNASSupernet(
                num_tokens=num_tokens, fuse_channels=90
            )
            self.head = nn.Conv2d(90, 19, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.backbone(x)[0])

    shape = (3, 512, 1024)
    plain, full = Segmentor(0), Segmentor(64)
    macs = CostModel(plain, shape).total(architecture_of(plain))
    params = sum(p.numel() for p in plain.parameters())
    assert round(macs / 1e9, 4) == 61.8366
    assert round(params / 1e6, 2) == 10.11
    transformers = sum(
        module.macs(dict(tokens=64), shape[1:])
        for module in full.modules()
        if isinstance(module, LightweightTransformer)
    )
    with_tokens = CostModel(full, shape).total(architecture_of(full))
    assert with_tokens - macs == transformers


def test_marginal_cost_is_constant_for_channels_and_falls_for_tokens() -> None:
    model = supernet()
    cost_model = CostModel(model, (3, 64, 64))
    channel, token = 'fuse.mixconv.k3', 'fuse.transformer.tokens'
    full = cost_model.prices(cost_model.supernet)
    fewer = cost_model.prices({channel: 2, token: 2})
    assert full[channel] == fewer[channel]
    assert full[token] > fewer[token]


def test_eq6_counts_the_depthwise_convolution_alone() -> None:
    model = supernet()
    cost_model = CostModel(model, (3, 64, 64), Eq6())
    prices = cost_model.prices(architecture_of(model))
    assert prices['fuse.mixconv.k3'] == 9 * 16 * 16
    assert prices['fuse.mixconv.k5'] == 25 * 16 * 16


def test_trace_leaves_the_model_alone() -> None:
    model = supernet().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    trace(model, (3, 32, 32))
    assert model.training and all(m.training for m in model.modules())
    assert all(
        torch.equal(v, before[k]) for k, v in model.state_dict().items()
    )


def test_model_without_units_is_refused() -> None:
    with pytest.raises(ValueError, match='must have search units'):
        CostModel(nn.Conv2d(3, 3, 1), (3, 8, 8))


def test_shared_modules_and_weights_are_left_as_they_were() -> None:
    shared, tied = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 1), shared),
        nn.Sequential(nn.ReLU(), shared),
        tied,
        nn.Conv2d(4, 4, 1),
    )
    model[3].weight = tied.weight
    before = {name: id(p) for name, p in model.named_parameters()}
    assert trace(model, (3, 5, 7)).macs[''] == 35 * (12 + 4 * 16)
    assert {name: id(p) for name, p in model.named_parameters()} == before
    assert not any(p.is_meta for p in model.parameters())
    assert model[3].weight is tied.weight
