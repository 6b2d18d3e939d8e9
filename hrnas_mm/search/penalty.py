"""The resource-aware L1 penalty, Eq. (7): as a loss or as a proximal step."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .cost import CostModel
from .units import named_search_units


class ResourcePenalty:
    """The sum of delta_i * abs(alpha_i) over all elements.

    delta is the marginal cost of the element's unit, divided by the mean over
    all elements of the supernet, so that rho means the same for every network
    and input size, and on resume.

    Source: HR-NAS, Eq. (6), (7).

    Args:
        cost_model: Of the supernet.
        cost: 'macs': all that an element costs; 'params': its parameters;
            'eq6': the depthwise convolution alone for a channel, as Eq. (6)
            is printed.
    """

    def __init__(self, cost_model: CostModel, cost: str = 'macs') -> None:
        self.cost_model = cost_model
        self.cost = cost
        alive = cost_model.supernet
        deltas = cost_model.deltas(alive, cost)
        total = sum(deltas[name] * n for name, n in alive.items())
        self.mean_delta = total / sum(alive.values())
        self._alphas: list[Tensor] = []
        self._delta_of: list[float] = []
        self._deltas = torch.empty(0)

    def bind_(self, model: nn.Module) -> None:
        """Collect the importance factors; due again after every shrink."""
        units = named_search_units(model)
        deltas = self.cost_model.deltas(
            {name: len(unit) for name, unit in units.items()}, self.cost
        )
        self._alphas = [unit.alpha for unit in units.values()]
        self._delta_of = [deltas[name] / self.mean_delta for name in units]
        self._deltas = torch.cat(
            [
                alpha.new_full(alpha.shape, delta)
                for alpha, delta in zip(self._alphas, self._delta_of)
            ]
        )

    def __call__(self) -> Tensor:
        """Return the penalty, a scalar that gradients flow through."""
        # One concatenation and one product: a kernel per unit would cost
        # more than a block.
        return torch.dot(self._deltas, torch.cat(self._alphas).abs())

    @torch.no_grad()
    def soft_threshold_(self, rho: float, optimizer: Optimizer) -> None:
        """Take the proximal step of the penalty, due after optimizer.step().

        alpha <- sign(alpha) * max(abs(alpha) - lr * rho * delta, 0), which
        reaches exact zeros and is not rescaled by the optimizer, as weight
        decay is not in AdamW.

        Source: Parikh and Boyd, Proximal Algorithms, 2014, Sec. 6.5.2.

        Args:
            rho: The coefficient.
            optimizer: Each alpha moves by the lr of its parameter group;
                one that is not there stays.
        """
        rates = {
            id(param): float(group['lr'])
            for group in optimizer.param_groups
            for param in group['params']
        }
        steps = [
            rates.get(id(alpha), 0.0) * rho * delta
            for alpha, delta in zip(self._alphas, self._delta_of)
        ]
        # A few fused kernels, not a few for each of hundreds of units.
        values = torch._foreach_abs(self._alphas)
        torch._foreach_sub_(values, steps)
        torch._foreach_clamp_min_(values, 0.0)
        torch._foreach_mul_(values, torch._foreach_sign(self._alphas))
        torch._foreach_copy_(self._alphas, values)


def linear_warmup(step: int, steps: int) -> float:
    """The factor that rises from 0 before the first step to 1 at the last."""
    return min((step + 1) / steps, 1.0) if steps > 0 else 1.0
