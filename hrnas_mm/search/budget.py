"""From a target to a planned descent, and the cuts that keep to it."""

import heapq
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from .cost import RESOURCES, CostModel
from .shrink import Keep

# A searched network is never above its target, and at most this share below.
TOLERANCE = 0.03
SUFFIXES = dict(K=1e3, M=1e6, G=1e9, T=1e12)

Amount = int | float | str
Target = Amount | Mapping[str, Amount]


@dataclass(frozen=True)
class Budget:
    """What a network may cost.

    Args:
        amount: Multiply-adds of one image, or parameters.
        resource: 'macs' or 'params'.
    """

    amount: int
    resource: str = 'macs'

    def __str__(self) -> str:
        return f'{short(self.amount)} {RESOURCES[self.resource]}'


def short(amount: float) -> str:
    """Write 1910000000 as '1.91 G'."""
    for suffix, unit in reversed(SUFFIXES.items()):
        if amount >= unit:
            return f'{amount / unit:.4g} {suffix}'
    return f'{amount:g}'


def parse_budget(
    target: Target, cost_model: CostModel, name: str = 'target'
) -> Budget:
    """Read a budget as users write it.

    Args:
        target: Multiply-adds as a number (1.91e9), a string ('1.91G') or a
            ratio of the supernet (0.03); ``dict(params=...)`` with any of
            them for parameters.
        cost_model: Of the supernet.
        name: Of the argument, for errors.

    Raises:
        ValueError: If it is none of these, or no network of this supernet
            can meet it.
    """
    resource = 'macs'
    if isinstance(target, Mapping):
        if len(target) != 1 or not set(target) <= set(RESOURCES):
            raise ValueError(
                f'{name} must be one of dict(macs=...) and dict(params=...), '
                f'got {dict(target)}'
            )
        ((resource, target),) = target.items()
    whole = cost_model.total(cost_model.supernet, resource)
    least = cost_model.total(smallest(cost_model, resource), resource)
    value = _number(target, name)
    amount = int(value * whole) if value < 1 else int(value)
    if not least <= amount < whole:
        raise ValueError(
            f'{name} must be at least {short(least)} (one element per '
            f'block) and below {short(whole)} (the supernet), got '
            f'{target!r}, which is {short(amount)} {resource} at input shape '
            f'{cost_model.input_shape}'
        )
    return Budget(amount, resource)


def _number(amount: Amount, name: str) -> float:
    text = str(amount).strip().upper()
    unit = SUFFIXES.get(text[-1:], 1.0)
    try:
        value = float(text.rstrip('KMGT') if unit > 1 else text) * unit
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(
            f"{name} must be a positive number, a string such as '1.91G' or "
            f'a ratio below 1, got {amount!r}'
        )
    return value


def block_of(unit: str) -> str:
    """The block that a unit is part of.

    Modules that one module has as attributes, MixConv and Transformer say,
    are one block; those that are numbered, as in a sequence, are one each.
    """
    module = unit.rpartition('.')[0]
    parent, _, name = module.rpartition('.')
    return module if name.isdigit() else parent


def smallest(cost_model: CostModel, resource: str = 'macs') -> dict[str, int]:
    """The cheapest architecture with one element in every block."""
    cheapest: dict[str, str] = {}
    for name in cost_model.supernet:
        block = block_of(name)
        if block not in cheapest or cost_model.saving(
            {name: 1}, name, resource
        ) < cost_model.saving({cheapest[block]: 1}, cheapest[block], resource):
            cheapest[block] = name
    gone = dict.fromkeys(cost_model.supernet, 0)
    return {**gone, **dict.fromkeys(cheapest.values(), 1)}


@dataclass(frozen=True)
class Descent:
    """The plan: at every shrink the same share of what is left goes.

    Args:
        begin: The iteration at which it starts.
        end: The iteration at which it arrives.
        start: The cost at ``begin``.
        target: The cost at ``end``.
    """

    begin: int
    end: int
    start: float
    target: float

    def at(self, iteration: int) -> float:
        """The planned cost after a shrink at an iteration."""
        progress = (iteration - self.begin) / (self.end - self.begin)
        progress = min(max(progress, 0.0), 1.0)
        return self.start * (self.target / self.start) ** progress

    def limits(self, iteration: int, interval: int) -> tuple[float, float]:
        """The least and the most that a shrink may leave.

        One interval ahead of the plan and one behind it; at the end what
        the target allows.
        """
        if iteration >= self.end:
            return self.target * (1 - TOLERANCE), self.target
        return self.at(iteration + interval), self.at(iteration - interval)

    def next_rho(
        self, rho: float, dead_removed: float, iteration: int, interval: int
    ) -> float:
        """The coefficient that brings the penalty back to the plan.

        A network that is an interval behind for two shrinks gets twice the
        coefficient, one that is as much ahead half of it, and in between
        accordingly. Importance takes some intervals to fall: a faster
        response would overshoot, and press useful elements down with the
        useless ones.

        Args:
            rho: Until now.
            dead_removed: What the network would cost without any of its dead
                elements: what the penalty alone has reached.
            iteration: Of this shrink.
            interval: Between two shrinks.
        """
        if self.start <= self.target:
            return rho
        step = math.log(self.start / self.target)
        step *= interval / (self.end - self.begin)
        behind = math.log(max(dead_removed, 1.0) / self.at(iteration)) / step
        return rho * 2 ** (min(max(behind, -1.0), 1.0) / 2)


def select_within(
    importance: Mapping[str, Tensor],
    threshold: float,
    cost_model: CostModel,
    resource: str,
    limits: tuple[float, float],
) -> Keep:
    """Return the elements to keep so that the cost comes within limits.

    Dead elements go first, the least important one before all others, as
    long as the network stays above the lower limit. Then living ones go, in
    the same order, until it is below the upper limit: the threshold rises, as
    it were. Only dead elements empty a block.

    Args:
        importance: Of every element, by unit name.
        threshold: Elements below are dead.
        cost_model: Of the supernet.
        resource: 'macs' or 'params'.
        limits: Lower and upper one. The upper one counts where single
            elements cost more than lies between them, and where blocks have
            to go for it.

    Returns:
        Kept indices, ascending, by unit name.
    """
    removal = _Removal(importance, threshold, cost_model, resource)
    lowest, highest = limits
    removal.remove_(lowest, highest, protect=True, all_dead=True)
    for protect in (True, False):
        removal.remove_(0.0, highest, protect, all_dead=False)
    return removal.keep()


class _Removal:
    """Takes elements away one by one, the least important one first."""

    def __init__(
        self,
        importance: Mapping[str, Tensor],
        threshold: float,
        cost_model: CostModel,
        resource: str,
    ) -> None:
        self.importance = importance
        self.threshold = threshold
        self.cost_model = cost_model
        self.resource = resource
        self.alive = {name: len(value) for name, value in importance.items()}
        self.cost = cost_model.total(self.alive, resource)
        self.order = {
            name: value.argsort(stable=True)
            for name, value in importance.items()
        }
        # Of each block its cheapest module outlives the others, or a block
        # could end with nothing but a part that no budget can afford.
        self.last_modules = {
            _module_of(name)
            for name, count in smallest(cost_model, resource).items()
            if count
        }
        self.count = Counter[str]()
        for name, count in self.alive.items():
            self.count[_module_of(name)] += count
            self.count[block_of(name) + '.'] += count

    def remove_(
        self, lowest: float, highest: float, protect: bool, all_dead: bool
    ) -> None:
        """Remove down to ``highest``, and all dead ones down to ``lowest``."""
        heap = [self._least(name) for name, n in self.alive.items() if n]
        heapq.heapify(heap)
        while heap:
            value, name = heapq.heappop(heap)
            dead = value < self.threshold
            if self.cost <= highest and not (dead and all_dead):
                break
            saved = self.cost_model.saving(self.alive, name, self.resource)
            if self.cost - saved < lowest:
                continue
            if protect and not dead and self._is_last(name):
                continue
            self.alive[name] -= 1
            self.count[_module_of(name)] -= 1
            self.count[block_of(name) + '.'] -= 1
            self.cost -= saved
            if self.alive[name]:
                heapq.heappush(heap, self._least(name))

    def _least(self, name: str) -> tuple[float, str]:
        index = self.order[name][len(self.order[name]) - self.alive[name]]
        return float(self.importance[name][index]), name

    def _is_last(self, name: str) -> bool:
        module = _module_of(name)
        return self.count[block_of(name) + '.'] == 1 or (
            module in self.last_modules and self.count[module] == 1
        )

    def keep(self) -> Keep:
        """What is left."""
        return {
            name: self.order[name][len(self.order[name]) - n :].sort().values
            for name, n in self.alive.items()
        }


def _module_of(unit: str) -> str:
    return unit.rpartition('.')[0]
