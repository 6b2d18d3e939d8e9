"""Importance criteria, which rank elements for removal."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .cost_model import CostModel
from .penalty import ResourcePenalty
from .ranking import Keep, Ranking
from .units import named_search_units

# A mean over fewer steps is noise.
MIN_STEPS = 10
# Of elements that are not dead: only the dead lose nothing.
MIN_SCORE = torch.finfo(torch.float32).tiny


class AlphaImportance:
    """The importance factors themselves, abs(alpha), as in the paper.

    Args:
        penalty: Penalty of the search, on the model that trains.

    Attributes:
        name: Name in configs: ``importance=<name>``.
        of_gradients: Whether :meth:`add_` has to be called in each step.
    """

    name = 'alpha'
    of_gradients = False

    def __init__(self, penalty: ResourcePenalty) -> None:
        self._penalty = penalty

    def add_(self, rho: float, scale: float | Tensor = 1.0) -> None:
        """Add the gradients of a step, before the optimizer takes it.

        Args:
            rho: Coefficient of the penalty that the gradients contain.
            scale: Factor of the gradients, in mixed precision.
        """

    def ranked(
        self,
        alpha: Mapping[str, Tensor],
        threshold: float,
        cost_model: CostModel,
    ) -> Ranking:
        """Rank the elements for a cut.

        Args:
            alpha: abs(alpha) of every element, by unit name, on the CPU.
            threshold: Elements of a smaller abs(alpha) are dead.
            cost_model: Cost model for the cost that is cut.
        """
        return Ranking.by_threshold(alpha, threshold)

    def keep_(self, keep: Keep) -> None:
        """Forget all elements that are not kept; call it before a shrink."""

    def restart_(self) -> None:
        """Begin with the steps of the next interval."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs, in plain types."""
        return dict(kind=self.name)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state of :meth:`state_dict`, unless it is of another kind."""


class TaylorImportance(AlphaImportance):
    """The mean of abs(alpha * dL/dalpha) over the steps since a shrink.

    Of several importance factors of an element, the products are added up.

    L is the loss without the penalty: this is what it would lose with an
    element, to first order. The penalty lowers abs(alpha) by the price of an
    element, so that what is dear looks unimportant; this has the unit of the
    loss, whatever the price, and may be divided by a saving. Where elements
    are cut one by one, it is divided by their price. After few steps, those
    of the interval before count, too.

    Source: Molchanov et al., CVPR 2019, Sec. 3.1, with the scale of a norm as
    the gate; absolute values as in HALP (Shen et al., NeurIPS 2022).
    """

    name = 'taylor'
    of_gradients = True

    def __init__(self, penalty: ResourcePenalty) -> None:
        super().__init__(penalty)
        # Of the interval before, and of this one.
        self._steps = [0, 0]
        self._sums = torch.empty(2, 0)

    def restart_(self) -> None:
        """See :class:`AlphaImportance`."""
        self._steps = [self._steps[1], 0]
        self._sums = torch.stack([self._sums[1], self._sums[1] * 0])

    @torch.no_grad()
    def add_(self, rho: float, scale: float | Tensor = 1.0) -> None:
        """See :class:`AlphaImportance`."""
        alphas = self._penalty.alphas()
        alpha = torch.cat(alphas)
        gradient = torch.cat(
            [a * 0 if a.grad is None else a.grad for a in alphas]
        )
        gradient = gradient / scale
        if rho:
            gradient -= rho * self._penalty.gradient()
        lost = self._penalty.by_element(alpha * gradient).abs().float()
        # A step whose gradients overflowed is not taken.
        lost = torch.where(lost.isfinite().all(), lost, 0.0)
        if not any(self._steps):
            self._sums = lost.new_zeros(2, len(lost))
        self._sums = self._sums.to(lost.device)
        self._sums[1] += lost
        self._steps[1] += 1

    def ranked(
        self,
        alpha: Mapping[str, Tensor],
        threshold: float,
        cost_model: CostModel,
    ) -> Ranking:
        """See :class:`AlphaImportance`.

        Dead elements are ranked by abs(alpha), and so are all before the first
        step. Elements with frozen factors get infinity: no gradient is known
        for them.
        """
        scores = dict(alpha)
        if any(self._steps):
            scores = self._by_unit()
            if cost_model.cost.cut.one_by_one:
                self._divide_by_prices_(scores, cost_model)
        units = named_search_units(self._penalty.model)
        dead = {name: value < threshold for name, value in alpha.items()}
        return Ranking(
            {
                name: torch.where(
                    dead[name],
                    value,
                    scores[name].clamp(min=MIN_SCORE)
                    if units[name].alpha.requires_grad
                    else torch.inf,
                )
                for name, value in alpha.items()
            },
            dead,
        )

    def _divide_by_prices_(
        self, scores: dict[str, Tensor], cost_model: CostModel
    ) -> None:
        counts = {name: len(score) for name, score in scores.items()}
        for name, price in cost_model.prices(counts).items():
            # To cut what costs nothing would be in vain.
            scores[name] = (
                scores[name] / price
                if price
                else torch.full_like(scores[name], torch.inf)
            )

    def keep_(self, keep: Keep) -> None:
        """See :class:`AlphaImportance`."""
        if any(self._steps):
            parts = self._split(self._sums.cpu())
            self._sums = torch.cat(
                [parts[name][:, index] for name, index in keep.items()], dim=1
            )

    def _by_unit(self) -> dict[str, Tensor]:
        before, now = self._steps
        sums = self._sums.cpu()
        if now >= MIN_STEPS or not before:
            return self._split(sums[1] / now)
        return self._split(sums.sum(0) / (before + now))

    def _split(self, values: Tensor) -> dict[str, Tensor]:
        units = named_search_units(self._penalty.model)
        sizes = [len(unit) for unit in units.values()]
        return dict(zip(units, values.split(sizes, dim=-1)))

    def state_dict(self) -> dict[str, Any]:
        """See :class:`AlphaImportance`."""
        own = dict(steps=list(self._steps), sums=self._sums.tolist())
        return dict(super().state_dict(), **own)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See :class:`AlphaImportance`."""
        if state.get('kind') == self.name:
            steps, sums = list(state['steps']), torch.tensor(state['sums'])
            units = named_search_units(self._penalty.model)
            length = sum(map(len, units.values())) * any(steps)
            if (
                len(steps) != 2
                or min(steps) < 0
                or (sums.shape != (2, length))
            ):
                raise ValueError(
                    f'sums must have shape (2, {length}) and steps be two '
                    f'counts, got {tuple(sums.shape)} and {steps}'
                )
            self._steps, self._sums = steps, sums


# Kinds that a config can name; add a kind of your own under its name.
IMPORTANCES: dict[str, type[AlphaImportance]] = {
    kind.name: kind for kind in (AlphaImportance, TaylorImportance)
}
