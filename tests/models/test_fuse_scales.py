"""The neck that joins all branches for classification."""

from typing import Any

import pytest
import torch
from counting import counted, random_keep
from torch import Tensor, nn

from hrnas_mm.models import HRNASFuseScales
from hrnas_mm.search import CostModel, architecture_of, shrink_

SIZES = ((8, 12), (4, 6), (2, 3))


def neck(**options: Any) -> HRNASFuseScales:
    return HRNASFuseScales(
        in_channels=(4, 6, 8),
        mid_channels=(6, 8, 10),
        out_channels=20,
        num_tokens=3,
        token_size=2,
        expand_ratio=2,
        **options,
    )


def branches() -> list[Tensor]:
    return [
        torch.randn(2, channels, *size)
        for channels, size in zip((4, 6, 8), SIZES)
    ]


class OnBranches(torch.nn.Module):
    """A neck on branches that its one input is cut into."""

    def __init__(self, neck: nn.Module) -> None:
        super().__init__()
        self.neck = neck

    def forward(self, x: Tensor) -> Tensor:
        return self.neck(
            [x[:, :c, :h, :w] for c, (h, w) in zip((4, 6, 8), SIZES)]
        )


def test_sums_downwards() -> None:
    model, (a, b, c) = neck().eval(), branches()
    widen, down = model.widen, model.down
    joined = down[0](widen[0](a)) + widen[1](b)
    joined = down[1](joined) + widen[2](c)
    (out,) = model([a, b, c])
    assert out.shape == (2, 20, 2, 3)
    torch.testing.assert_close(out, model.last(joined), rtol=0, atol=0)


def test_is_searched_like_the_rest() -> None:
    model = OnBranches(neck())
    shape = (8, *SIZES[0])
    cost_model = CostModel(model, shape)
    shrink_(model, random_keep(model))
    architecture = architecture_of(model)
    assert cost_model.total(architecture) == counted(model, shape)
    again = neck(arch=architecture)
    assert architecture_of(OnBranches(again)) == architecture


def test_one_width_per_branch() -> None:
    with pytest.raises(ValueError, match=r'mid_channels must .* \(3, 4\)'):
        HRNASFuseScales(in_channels=(3, 4), mid_channels=(6,))
