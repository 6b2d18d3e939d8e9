"""The resource-aware L1 penalty, Eq. (7), as a loss or a proximal step."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .cost_model import CostModel
from .units import named_search_units


class ResourcePenalty:
    """The sum of price * abs(alpha) over all elements.

    The price is that of the element's unit in the present network, divided
    by the mean price over all elements of the supernet, so that rho means the
    same for every network and input size, and after a resume.

    Source: HR-NAS, Eq. (6), (7), where the price is called delta.

    Args:
        cost_model: Cost model of the supernet, for the cost that sets prices.
        model: The supernet, or a network of it; it may shrink.
    """

    def __init__(self, cost_model: CostModel, model: nn.Module) -> None:
        self.cost_model = cost_model
        self.model = model
        supernet = cost_model.supernet
        prices = cost_model.prices(supernet)
        total = sum(prices[name] * n for name, n in supernet.items())
        self.mean_price = total / sum(supernet.values())
        self._counts: list[int] = []
        self._alphas: list[Tensor] = []
        self._prices = torch.empty(0)
        self._refresh_()

    def _refresh_(self) -> None:
        """Collect the importance factors and their prices after a shrink.

        A shrink slices importance factors in place: as long as their sizes
        are the same, so is everything else, unless the model has moved to
        another device.
        """
        if (
            self._counts
            and self._counts == list(map(len, self._alphas))
            and self._prices.device == self._alphas[0].device
        ):
            return
        units = named_search_units(self.model)
        prices = self.cost_model.prices(
            {name: len(unit) for name, unit in units.items()}
        )
        self._alphas = [unit.alpha for unit in units.values()]
        self._counts = list(map(len, self._alphas))
        self._price_of = [prices[name] / self.mean_price for name in units]
        self._prices = torch.cat(
            [
                alpha.new_full(alpha.shape, price)
                for alpha, price in zip(self._alphas, self._price_of)
            ]
        )

    def alphas(self) -> list[Tensor]:
        """Return the importance factors of all units."""
        self._refresh_()
        return self._alphas

    def gradient(self) -> Tensor:
        """Return the gradient by all importance factors, one after another."""
        alpha = torch.cat(self.alphas()).detach()
        return self._prices * alpha.sign()

    def __call__(self) -> Tensor:
        """Return the penalty, a scalar that gradients flow through."""
        self._refresh_()
        # One concatenation and one product: a kernel per unit would take
        # longer than a block.
        return torch.dot(self._prices, torch.cat(self._alphas).abs())

    @torch.no_grad()
    def soft_threshold_(self, rho: float, optimizer: Optimizer) -> None:
        """Take the proximal step of the penalty, after optimizer.step().

        alpha <- sign(alpha) * max(abs(alpha) - lr * rho * price, 0). This
        reaches exact zeros and, like weight decay in AdamW, is not rescaled
        by the optimizer.

        Source: Parikh and Boyd, Proximal Algorithms, 2014, Sec. 6.5.2.

        Args:
            rho: Coefficient of the penalty.
            optimizer: Optimizer of the model; each alpha moves by the learning
                rate of its parameter group; one in no group, or frozen, stays.
        """
        self._refresh_()
        rates = {
            id(param): float(group['lr'])
            for group in optimizer.param_groups
            for param in group['params']
            if param.requires_grad
        }
        steps = [
            rates.get(id(alpha), 0.0) * rho * price
            for alpha, price in zip(self._alphas, self._price_of)
        ]
        # A few fused kernels, instead of a few for each of hundreds of units.
        values = torch._foreach_abs(self._alphas)
        torch._foreach_sub_(values, steps)
        torch._foreach_clamp_min_(values, 0.0)
        torch._foreach_mul_(values, torch._foreach_sign(self._alphas))
        torch._foreach_copy_(self._alphas, values)
