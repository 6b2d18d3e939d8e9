"""The resource-aware L1 penalty, Eq. (7)."""

import torch
from torch import Tensor, nn

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
        self._prices = torch.cat(
            [
                unit.alpha.new_full(
                    unit.alpha.shape, prices[name] / self.mean_price
                )
                for name, unit in units.items()
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
