"""Networks at random, and what torch's own counter makes of them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hrnas_mm.search import named_search_units


def counted(model: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds as torch counts them, on the meta device."""
    model = model.to('meta').requires_grad_(False)
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, *shape, device='meta'))
    return counter.get_total_flops() // 2


def random_keep(
    model: nn.Module, share_empty: float = 0.2
) -> dict[str, Tensor]:
    keep = {}
    for name, unit in named_search_units(model).items():
        count = int(torch.randint(1, len(unit) + 1, ()))
        if torch.rand(()) < share_empty:
            count = 0
        keep[name] = torch.randperm(len(unit))[:count].sort()[0]
    return keep
