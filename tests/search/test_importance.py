"""Taylor importance, against autograd of the loss without the penalty."""

import copy
from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from tiny import supernet
from torch import Tensor, nn

from hrnas_mm.models import HRNASSupernet
from hrnas_mm.search import (
    BestRemovals,
    Cost,
    CostModel,
    Part,
    ResourcePenalty,
    importances,
    named_search_units,
    shrink_,
)
from hrnas_mm.search.cost import MACS, Macs
from hrnas_mm.search.importance import MIN_STEPS, TaylorImportance

Ranked = Callable[..., dict[str, Tensor]]
RHO, SCALE, THRESHOLD = 0.3, 8.0, 0.5


@pytest.fixture
def model() -> HRNASSupernet:
    torch.manual_seed(0)
    model = supernet()
    for unit in named_search_units(model).values():
        torch.nn.init.normal_(unit.alpha)
    return model.double()


class Steps(Macs):
    """A cost whose cut divides by what is saved itself."""

    cut = BestRemovals(4)


@pytest.fixture
def cost_model(model: HRNASSupernet) -> CostModel:
    return CostModel(model, (3, 32, 32), Steps())


@pytest.fixture
def penalty(model: HRNASSupernet, cost_model: CostModel) -> ResourcePenalty:
    return ResourcePenalty(cost_model, model)


@pytest.fixture
def ranked(model: nn.Module, cost_model: CostModel) -> Ranked:
    def ranked(
        taylor: TaylorImportance,
        threshold: float = 0.0,
        cost: Cost = cost_model.cost,
    ) -> dict[str, Tensor]:
        counted = cost_model.counting(cost)
        ranking = taylor.ranked(importances([model]), threshold, counted)
        return dict(ranking.score)

    return ranked


def loss_of(model: nn.Module, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(2, 3, 32, 32, generator=generator, dtype=torch.float64)
    return model(image)[0].square().mean()


def step(
    model: nn.Module,
    penalty: ResourcePenalty,
    taylor: TaylorImportance,
    seed: int,
) -> None:
    model.zero_grad()
    loss = loss_of(model, seed) + RHO * penalty()
    (SCALE * loss).backward()
    taylor.add_(RHO, SCALE)


def written_out(model: nn.Module, seeds: Sequence[int]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for seed in seeds:
        copied = copy.deepcopy(model)
        units = named_search_units(copied)
        alphas = [unit.alpha for unit in units.values()]
        gradients = torch.autograd.grad(
            loss_of(copied, seed), alphas, allow_unused=True
        )
        for name, alpha, gradient in zip(units, alphas, gradients):
            lost = (alpha * gradient).abs().detach().float()
            found[name] = found.get(name, 0.0) + lost / len(seeds)
    return found


def test_is_what_the_loss_would_lose(
    model: HRNASSupernet, penalty: ResourcePenalty, ranked: Ranked
) -> None:
    taylor = TaylorImportance(penalty)
    expected = written_out(model, (1, 2))
    for seed in (1, 2):
        step(model, penalty, taylor, seed)
    alpha = importances([model])
    found = taylor.ranked(alpha, THRESHOLD, penalty.cost_model)
    assert set(found.score) == set(alpha)
    for name, value in found.score.items():
        alive = alpha[name] >= THRESHOLD
        torch.testing.assert_close(value[alive], expected[name][alive])
        assert found.dead[name].equal(~alive)
        # The dead come first, in the order of alpha.
        places = sorted(
            range(len(alive)),
            key=lambda i: (
                alive[i],
                (found.score if alive[i] else alpha)[name][i],
            ),
        )
        assert found.order[name].tolist() == places


def test_divided_by_the_price_where_elements_go_one_by_one(
    penalty: ResourcePenalty,
    cost_model: CostModel,
    model: HRNASSupernet,
    ranked: Ranked,
) -> None:
    taylor = TaylorImportance(penalty)
    step(model, penalty, taylor, 1)
    plain, divided = ranked(taylor), ranked(taylor, cost=MACS)
    counts = {name: len(value) for name, value in plain.items()}
    prices = cost_model.counting(MACS).prices(counts)
    for name, value in divided.items():
        torch.testing.assert_close(value * prices[name], plain[name])


def test_goes_on_after_a_shrink_and_a_resume(
    model: HRNASSupernet, penalty: ResourcePenalty, ranked: Ranked
) -> None:
    taylor = TaylorImportance(penalty)
    step(model, penalty, taylor, 1)
    before = ranked(taylor)
    keep = {name: torch.arange(1, len(v)) for name, v in before.items()}
    taylor.keep_(keep)
    shrink_(model, keep)
    resumed = TaylorImportance(penalty)
    resumed.load_state_dict(taylor.state_dict())
    for each in (taylor, resumed):
        for name, value in ranked(each).items():
            torch.testing.assert_close(value, before[name][1:])


def test_the_interval_before_counts_until_there_are_enough_steps(
    model: HRNASSupernet, penalty: ResourcePenalty, ranked: Ranked
) -> None:
    taylor = TaylorImportance(penalty)
    step(model, penalty, taylor, 1)
    taylor.restart_()
    torch.testing.assert_close(ranked(taylor), written_out(model, (1,)))
    step(model, penalty, taylor, 2)
    torch.testing.assert_close(ranked(taylor), written_out(model, (1, 2)))
    for _ in range(MIN_STEPS - 1):
        step(model, penalty, taylor, 2)
    torch.testing.assert_close(ranked(taylor), written_out(model, (2,)))


@pytest.mark.parametrize('number', [torch.inf, torch.nan])
def test_a_step_that_overflowed_changes_no_order(
    model: HRNASSupernet,
    penalty: ResourcePenalty,
    ranked: Ranked,
    number: float,
) -> None:
    taylor = TaylorImportance(penalty)
    step(model, penalty, taylor, 1)
    before = ranked(taylor)
    for _, unit in zip(range(2), named_search_units(model).values()):
        assert unit.alpha.grad is not None
        unit.alpha.grad[0] = number
    taylor.add_(RHO, SCALE)
    for name, value in ranked(taylor).items():
        torch.testing.assert_close(value, before[name] / 2)


def test_what_is_frozen_goes_last(
    model: HRNASSupernet, penalty: ResourcePenalty, ranked: Ranked
) -> None:
    name, unit = next(iter(named_search_units(model).items()))
    unit.alpha.requires_grad_(False)
    taylor = TaylorImportance(penalty)
    step(model, penalty, taylor, 1)
    found = ranked(taylor)
    assert found.pop(name).isinf().all()
    assert not any(value.isinf().any() for value in found.values())


def test_what_costs_nothing_goes_last(
    model: HRNASSupernet, penalty: ResourcePenalty, ranked: Ranked
) -> None:
    """A part that the trace of the cost did not reach, and no gradient."""
    unit = next(iter(named_search_units(model)))

    class AllButOne(Macs):
        def price(
            self, part: Part, counts: Mapping[str, int], name: str
        ) -> float:
            price = super().price(part, counts, name)
            return 0.0 if name == unit else price

    loss_of(model, 1).backward()
    named_search_units(model)[unit].alpha.grad.zero_()
    taylor = TaylorImportance(penalty)
    taylor.add_(rho=0.0)
    found = ranked(taylor, cost=AllButOne())
    assert found.pop(unit).isinf().all()
    assert all(value.isfinite().all() for value in found.values())


def test_without_a_step_it_is_alpha(
    model: HRNASSupernet, penalty: ResourcePenalty, ranked: Ranked
) -> None:
    found = ranked(TaylorImportance(penalty))
    torch.testing.assert_close(found, importances([model]))


def test_a_state_of_another_kind_is_left(
    model: HRNASSupernet, penalty: ResourcePenalty, ranked: Ranked
) -> None:
    taylor = TaylorImportance(penalty)
    step(model, penalty, taylor, 1)
    before = ranked(taylor)
    taylor.load_state_dict(dict(kind='alpha'))
    torch.testing.assert_close(ranked(taylor), before)
