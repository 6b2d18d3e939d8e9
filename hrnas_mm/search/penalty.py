"""The resource-aware L1 penalty, Eq. (7)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .cost_model import CostModel
from .units import SearchUnit, named_search_units


class ResourcePenalty:
    """The sum of price * abs(alpha) over all elements.

    The price is that of the element's unit in the present network, divided
    by the mean price over all elements of the supernet, so that rho means the
    same for every network and input size, and after a resume. Of several
    importance factors of the same element, the root of the mean square takes
    the place of abs(alpha), so that they become zero together.

    An element whose alpha is zero still puts out the shift of its norm. Where
    the shift is not folded into the next layer exactly, as behind a padded
    kernel, the unit names it, and it has the same penalty once the element is
    dead: then the removal becomes exact.

    Source: HR-NAS, Eq. (6), (7), where the price is called delta. The shifts:
    the zero-invariant groups of OTO (Chen et al., NeurIPS 2021).

    Args:
        cost_model: Cost model of the supernet, for the cost that sets prices.
        model: The supernet, or a network of it; it may shrink.
        threshold: Elements with a smaller abs(alpha) are dead.
    """

    def __init__(
        self, cost_model: CostModel, model: nn.Module, threshold: float = 1e-3
    ) -> None:
        self.cost_model, self.model = cost_model, model
        self.threshold = threshold
        supernet = cost_model.supernet
        prices = cost_model.prices(supernet)
        total = sum(prices[name] * n for name, n in supernet.items())
        self.mean_price = total / sum(supernet.values())
        self._counts: list[int] = []
        self._alphas: list[Tensor] = []
        self._shifts: list[Tensor] = []
        self._element: Tensor | None = None
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
        self._alphas = [s for unit in units.values() for s in unit.scales]
        self._shifts = _shifts_of(list(units.values()))
        self._counts = list(map(len, self._alphas))
        self._element = _elements_of(list(units.values()))
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

    def by_element(self, values: Tensor) -> Tensor:
        """Return sums over each element's factors of what is given for all.

        Args:
            values: A value for each importance factor, one after another.
        """
        self._refresh_()
        if self._element is None:
            return values
        sums = values.new_zeros(len(self._prices))
        return sums.index_add(0, self._element, values)

    def gradient(self) -> Tensor:
        """Return the gradient by all importance factors, one after another."""
        alpha = torch.cat(self.alphas()).detach()
        if self._element is None:
            return self._prices * alpha.sign()
        with torch.enable_grad():
            alpha.requires_grad_()
            penalty = torch.dot(self._prices, self._magnitudes(alpha))
        return torch.autograd.grad(penalty, alpha)[0]

    def __call__(self) -> Tensor:
        """Return the penalty, a scalar that gradients flow through."""
        self._refresh_()
        # One concatenation and one product: a kernel per unit would take
        # longer than a block.
        magnitudes = self._magnitudes(torch.cat(self._alphas))
        penalty = torch.dot(self._prices, magnitudes)
        if not self._shifts:
            return penalty
        dead = magnitudes < self.threshold
        shifts = self._magnitudes(torch.cat(self._shifts))
        return penalty + torch.dot(self._prices * dead, shifts)

    def _magnitudes(self, alpha: Tensor) -> Tensor:
        """Return the root mean square of every element's factors."""
        if self._element is None:
            return alpha.abs()
        squares = self.by_element(alpha.square())
        squares = squares / self._element.bincount()
        positive = squares > 0  # the root has no gradient at zero
        return torch.where(positive, squares, 1.0).sqrt() * positive


def _elements_of(units: Sequence[SearchUnit]) -> Tensor | None:
    """Return to which element each importance factor belongs.

    None if each element has one alone.
    """
    if not any(unit.others for unit in units):
        return None
    first, found = 0, []
    for unit in units:
        device = unit.alpha.device
        own = torch.arange(first, first + len(unit), device=device)
        found.append(own.repeat(len(unit.scales)))
        first += len(unit)
    return torch.cat(found)


def _shifts_of(units: Sequence[SearchUnit]) -> list[Tensor]:
    """Return the shift beside each importance factor, zeros for none.

    An empty list if no unit has any.
    """
    if not any(unit.shifts for unit in units):
        return []
    return [
        shift
        for unit in units
        for shift in unit.shifts or map(torch.zeros_like, unit.scales)
    ]
