"""Importance: by what the elements that a cut removes are chosen."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .penalty import ResourcePenalty
from .shrink import Keep
from .units import named_search_units

# Taylor importance of whatever is not dead is at least this.
LEAST = torch.finfo(torch.float32).tiny


class AlphaImportance:
    """The importance factors themselves, abs(alpha), as in the paper.

    Args:
        penalty: Penalty of the search, on the model that trains.

    Attributes:
        of_gradients: Whether :meth:`add_` has to be called in each step.
    """

    of_gradients = False

    def __init__(self, penalty: ResourcePenalty) -> None:
        self._penalty = penalty

    def add_(self, rho: float, scale: float = 1.0) -> None:
        """Add the gradients of a step, before the optimizer takes it.

        Args:
            rho: Coefficient of the penalty that the gradients contain.
            scale: Factor of the gradients, in mixed precision.
        """

    def ranked(
        self, alpha: Mapping[str, Tensor], threshold: float
    ) -> tuple[dict[str, Tensor], float]:
        """Return the importance of elements, and below what they are dead.

        Args:
            alpha: Their abs(alpha), by unit name, on the CPU.
            threshold: Elements of a smaller one are dead.
        """
        return dict(alpha), threshold

    def keep_(self, keep: Keep) -> None:
        """Forget all elements that are not kept; call it before a shrink."""

    def restart_(self) -> None:
        """Forget the steps so far."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs, in plain types."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state that :meth:`state_dict` returned."""


class TaylorImportance(AlphaImportance):
    """The mean of abs(alpha * dL/dalpha) over the steps since a shrink.

    L is the loss without the penalty: this is what it would lose with an
    element, to first order. The penalty lowers abs(alpha) by the price of an
    element, so that what is dear looks unimportant; this has the unit of the
    loss, whatever the price, and may be divided by a saving.

    Source: Molchanov et al., CVPR 2019, Sec. 3.1, with the scale of a norm as
    the gate; absolute values as in HALP (Shen et al., NeurIPS 2022).
    """

    of_gradients = True

    def __init__(self, penalty: ResourcePenalty) -> None:
        super().__init__(penalty)
        self.restart_()

    def restart_(self) -> None:
        """See :class:`AlphaImportance`."""
        self._steps = 0
        self._sum = torch.empty(0)

    @torch.no_grad()
    def add_(self, rho: float, scale: float = 1.0) -> None:
        """See :class:`AlphaImportance`."""
        alphas = self._penalty.alphas()
        gradient = torch.cat(
            [
                a.new_zeros(a.shape) if a.grad is None else a.grad
                for a in alphas
            ]
        )
        gradient = gradient / scale - rho * self._penalty.gradient()
        # A step whose gradients overflowed is not taken.
        found = (torch.cat(alphas) * gradient).abs().nan_to_num(0.0, 0.0)
        if self._steps:
            found += self._sum.to(found.device)
        self._sum = found
        self._steps += 1

    def ranked(
        self, alpha: Mapping[str, Tensor], threshold: float
    ) -> tuple[dict[str, Tensor], float]:
        """See :class:`AlphaImportance`.

        That of frozen importance factors is infinite, as nobody knows it.
        """
        found = self._by_unit() if self._steps else alpha
        units = named_search_units(self._penalty.model)
        return {
            name: torch.where(
                value < threshold,
                0.0,
                found[name].clamp(min=LEAST)
                if units[name].alpha.requires_grad
                else torch.inf,
            )
            for name, value in alpha.items()
        }, LEAST

    def keep_(self, keep: Keep) -> None:
        """See :class:`AlphaImportance`."""
        if self._steps:
            found = self._by_unit()
            kept = [found[name][index] for name, index in keep.items()]
            self._sum = self._steps * torch.cat(kept)

    def _by_unit(self) -> dict[str, Tensor]:
        units = named_search_units(self._penalty.model)
        mean = self._sum.float().cpu() / self._steps
        return dict(zip(units, mean.split([len(u) for u in units.values()])))

    def state_dict(self) -> dict[str, Any]:
        """See :class:`AlphaImportance`."""
        return dict(steps=self._steps, sum=self._sum.tolist())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See :class:`AlphaImportance`."""
        if state:
            self._steps = state['steps']
            self._sum = torch.tensor(state['sum'])


# Kinds by their names in configs; add a kind of your own.
IMPORTANCES: dict[str, type[AlphaImportance]] = dict(
    alpha=AlphaImportance, taylor=TaylorImportance
)
