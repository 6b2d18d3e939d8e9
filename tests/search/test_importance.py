"""Taylor importance, against autograd of the loss without the penalty."""

import copy

import pytest
import torch
from tiny import supernet

from hrnas_mm.search import (
    CostModel,
    ResourcePenalty,
    importances,
    named_search_units,
    shrink_,
)
from hrnas_mm.search.importance import TaylorImportance

RHO, SCALE, THRESHOLD = 0.3, 8.0, 0.5


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = supernet()
    for unit in named_search_units(model).values():
        torch.nn.init.normal_(unit.alpha)
    return model.double()


@pytest.fixture
def penalty(model):
    return ResourcePenalty(CostModel(model, (3, 32, 32)), model)


def loss_of(model, seed):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(2, 3, 32, 32, generator=generator, dtype=torch.float64)
    return model(image)[0].square().mean()


def step(model, penalty, taylor, seed):
    model.zero_grad()
    loss = loss_of(model, seed) + RHO * penalty()
    (SCALE * loss).backward()
    taylor.add_(RHO, SCALE)


def written_out(model, seeds):
    found = {}
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


def test_is_what_the_loss_would_lose(model, penalty):
    taylor = TaylorImportance(penalty)
    expected = written_out(model, (1, 2))
    for seed in (1, 2):
        step(model, penalty, taylor, seed)
    alpha = importances([model])
    found, least = taylor.ranked(alpha, THRESHOLD)
    assert set(found) == set(alpha)
    for name, value in found.items():
        dead = alpha[name] < THRESHOLD
        assert not value[dead].any() and (value[~dead] >= least).all()
        torch.testing.assert_close(value[~dead], expected[name][~dead])


def test_goes_on_after_a_shrink_and_a_resume(model, penalty):
    taylor = TaylorImportance(penalty)
    step(model, penalty, taylor, 1)
    before, _ = taylor.ranked(importances([model]), THRESHOLD)
    keep = {name: torch.arange(1, len(v)) for name, v in before.items()}
    taylor.keep_(keep)
    shrink_(model, keep)
    resumed = TaylorImportance(penalty)
    resumed.load_state_dict(taylor.state_dict())
    for each in (taylor, resumed):
        found, _ = each.ranked(importances([model]), THRESHOLD)
        for name, value in found.items():
            torch.testing.assert_close(value, before[name][1:])
    # The next interval begins.
    taylor.restart_()
    expected = written_out(model, (2,))
    step(model, penalty, taylor, 2)
    found, _ = taylor.ranked(importances([model]), 0.0)
    torch.testing.assert_close(found, expected)


def test_a_step_that_overflowed_counts_nothing(model, penalty):
    taylor = TaylorImportance(penalty)
    step(model, penalty, taylor, 1)
    before, _ = taylor.ranked(importances([model]), 0.0)
    for number in (torch.inf, torch.nan):
        for unit in named_search_units(model).values():
            unit.alpha.grad.fill_(number)
        taylor.add_(RHO, SCALE)
    found, _ = taylor.ranked(importances([model]), 0.0)
    for name, value in found.items():
        torch.testing.assert_close(value, before[name] / 3)


def test_what_is_frozen_goes_last(model, penalty):
    name, unit = next(iter(named_search_units(model).items()))
    unit.alpha.requires_grad_(False)
    taylor = TaylorImportance(penalty)
    step(model, penalty, taylor, 1)
    found, _ = taylor.ranked(importances([model]), 0.0)
    assert found.pop(name).isinf().all()
    assert not any(value.isinf().any() for value in found.values())


def test_without_a_step_it_is_alpha(model, penalty):
    alpha = importances([model])
    found, _ = TaylorImportance(penalty).ranked(alpha, 0.0)
    torch.testing.assert_close(found, alpha)
