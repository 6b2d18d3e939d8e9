"""Milliseconds from a table: what networks take, prices, cuts, bad tables."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from cutting import select_within
from milliseconds import (
    EACH,
    EXPONENT,
    FACTORS,
    FIXED,
    OFFSET,
    table_of_formula,
)
from tiny import supernet
from torch import nn

from hrnas_mm.latency import Latency, read_latency_table
from hrnas_mm.latency.table import Curve, table_of
from hrnas_mm.modules import MixConv
from hrnas_mm.modules.deployed import ChannelLayout, Deployable, form_of
from hrnas_mm.search import (
    CostModel,
    importances,
    parse_budget,
    shrink_,
    uniform_architecture,
)

SHAPE = (3, 32, 32)


@pytest.fixture(scope='module')
def cost_model() -> CostModel:
    return CostModel(supernet(), SHAPE)


def timed(cost_model: CostModel, round: int = 4) -> CostModel:
    return cost_model.counting(Latency(table_of_formula(cost_model, round)))


def expected_ms(
    cost_model: CostModel, architecture: Mapping[str, int], round: int = 4
) -> float:
    """The formula, with paths merged where that is taken for faster."""
    total = 0.0
    for part in cost_model.parts.values():
        for searchable, counts, size in part.calls(architecture):
            assert isinstance(searchable, Deployable)
            form = form_of('onnxruntime', 'auto', round, {})
            counts = searchable.deployed_counts(counts, size, form)
            for unit, n in counts.items():
                kernel = int(unit[-1]) if unit[-1].isdigit() else 2
                alone = bool(n) * FIXED + n * kernel * EACH
                total += FACTORS[type(searchable).__name__] * alone
    return OFFSET + total**EXPONENT


def random_architecture(cost_model: CostModel, seed: int) -> dict[str, int]:
    torch.manual_seed(seed)
    return {
        unit: int(torch.randint(0, n + 1, ()))
        for unit, n in cost_model.supernet.items()
    }


@pytest.mark.parametrize('round', [1, 4, 16])
def test_networks_take_what_their_parts_take_as_deployed(
    cost_model: CostModel, round: int
) -> None:
    model = timed(cost_model, round)
    for seed in range(5):
        architecture = random_architecture(cost_model, seed)
        assert model.total(architecture) == pytest.approx(
            expected_ms(cost_model, architecture, round)
        )
    assert model.total({}) == OFFSET


def test_paths_with_parameters_in_their_activation_stay_apart() -> None:
    sizes: dict[str, Any] = dict(kernel_sizes=(3, 5), expand_ratio=2)
    mixconv = MixConv(8, 8, **sizes, act_layer=nn.PReLU)
    form = form_of('onnxruntime', 'always', 4, {})
    counts = dict(k3=5, k5=6), (8, 8), form
    apart = mixconv.deployed_counts(*counts)
    assert apart == dict(k3=8, k5=8)
    nothing = torch.empty(0, dtype=torch.long)
    merged = MixConv(8, 8, **sizes)
    assert merged.deployed_counts(*counts) == dict(k5=12)
    shrink_(nn.Sequential(mixconv, merged), {'0.k3': nothing, '0.k5': nothing})
    assert mixconv.deployed_counts(*counts) == apart  # of larger networks


def test_merged_paths_are_those_of_the_deployed_form(
    cost_model: CostModel,
) -> None:
    """Not only the sum of all, but which path has them."""
    mixconv = MixConv(16, 16, kernel_sizes=(3, 5, 7), expand_ratio=2).eval()
    units = [f'k{size}' for size in (3, 5, 7)]
    for runtime, size in product(('onnxruntime', 'torch'), ((4, 4), (64, 64))):
        form = form_of(runtime, 'auto', 'auto', {mixconv: size})
        stream = ChannelLayout.of(16, form.step)
        modules: Any = mixconv.terms(form, stream, stream).modules
        found = mixconv.deployed_counts(dict.fromkeys(units, 32), size, form)
        assert {
            f'k{path[2].kernel_size[0]}': path[2].groups
            for path in modules.values()
        } == found


def test_curve() -> None:
    curve = Curve((4, 8, 16), (1.0, 2.0, 3.0))
    values = {0: 0, 1: 1, 4: 1, 6: 1.5, 8: 2, 12: 2.5, 16: 3, 24: 4}
    assert {n: curve(n) for n in values} == values
    assert Curve((2,), (0.5,))(7) == 0.5


def test_price_contains_what_goes_with_the_last_element(
    cost_model: CostModel,
) -> None:
    """All that a unit takes, by its elements."""
    model = timed(cost_model, round=1)
    token = next(u for u in model.supernet if u.endswith('tokens'))
    for n in (4, 2, 1):
        price = model.prices({token: n})[token]
        factor = FACTORS['LightweightTransformer']
        assert price == pytest.approx(factor * (FIXED / n + 2 * EACH))


def test_price_is_at_most_ten_times_that_of_the_supernet(
    cost_model: CostModel,
) -> None:
    table = table_of_formula(cost_model, round=1)
    dear = {
        kind: {
            unit: replace(curve, ms=tuple(5 + ms for ms in curve.ms))
            for unit, curve in curves.items()
        }
        for kind, curves in table.curves.items()
    }
    model = cost_model.counting(Latency(replace(table, curves=dear)))
    path = next(u for u in model.supernet if u.endswith('k3'))
    alone, whole = model.prices({path: 1}), model.prices(model.supernet)
    assert alone[path] == pytest.approx(10 * whole[path])


def test_budgets(cost_model: CostModel) -> None:
    latency = Latency(table_of_formula(cost_model))
    whole = timed(cost_model).total(cost_model.supernet)
    half = parse_budget('1.5 ms', cost_model, latency=latency)
    assert (half.amount, str(half)) == (1.5, '1.5 ms')
    ratio = parse_budget(dict(latency=0.5), cost_model, latency=latency)
    assert ratio.amount == whole / 2
    assert parse_budget('0.9ms', cost_model, latency=latency).amount == 0.9
    for target, words in {
        '0.8ms': 'at least 0.857 .one element.',
        f'{whole + 1}ms': 'and below',
        'soonms': "such as '6ms'",
        '-1ms': "such as '6ms'",
    }.items():
        with pytest.raises(ValueError, match=words):
            parse_budget(target, cost_model, latency=latency)
    for budget in ('6ms', dict(latency=0.5)):
        with pytest.raises(ValueError, match='needs a table'):
            parse_budget(budget, cost_model)


@pytest.mark.parametrize('share', [0.9, 0.6, 0.3])
def test_cuts_come_within_the_limits(
    cost_model: CostModel, share: float
) -> None:
    model = timed(cost_model)
    torch.manual_seed(0)
    importance = {u: torch.rand(n) for u, n in model.supernet.items()}
    highest = share * model.total(model.supernet)
    keep = select_within(importance, 0.1, model, (0.9 * highest, highest))
    left = {unit: len(index) for unit, index in keep.items()}
    assert 0.9 * highest <= model.total(left) <= highest
    for unit, index in keep.items():
        gone = set(range(len(importance[unit]))) - set(index.tolist())
        if gone and len(index):  # the least important ones of each unit
            assert importance[unit][list(gone)].max() <= (
                importance[unit][index].min()
            )


def test_dead_elements_go_where_that_saves_something() -> None:
    """The others fill a step for nothing, and may come alive again."""
    model = timed(CostModel(supernet(expand_ratio=4), SHAPE), round=8)
    torch.manual_seed(0)
    importance = {u: torch.rand(n) for u, n in model.supernet.items()}
    whole = model.total(model.supernet)
    keep = select_within(importance, 0.5, model, (0.0, whole))
    left = {unit: len(index) for unit, index in keep.items()}
    alive = {u: int((v >= 0.5).sum()) for u, v in importance.items()}
    assert all(left[unit] >= alive[unit] for unit in left)
    assert alive != left != model.supernet
    for name, part in model.parts.items():
        dead_gone = {**left, **{unit: alive[unit] for unit in part.units}}
        assert model.part(name, dead_gone) == pytest.approx(
            model.part(name, left)
        )


def test_blocks_go_when_that_is_the_better_bargain(
    cost_model: CostModel,
) -> None:
    model = timed(cost_model)
    importance = {u: torch.ones(n) for u, n in model.supernet.items()}
    name, part = next(iter(model.parts.items()))
    for unit in part.units:
        importance[unit] *= 0.01
    highest = model.total({**model.supernet, **dict.fromkeys(part.units, 0)})
    assert model.part(name, model.supernet) > 0
    keep = select_within(importance, 1e-3, model, (0.0, highest))
    gone = [name for name, index in keep.items() if not len(index)]
    assert set(gone) == set(part.units)
    network = supernet()
    shrink_(network, keep)
    assert network.eval()(torch.randn(1, *SHAPE))
    assert importances([network])


def test_no_more_than_needed_goes_where_each_step_is_large(
    cost_model: CostModel,
) -> None:
    """Three dead paths of four; without one of them the target is met."""
    model = timed(cost_model)
    paths = [unit for unit in model.supernet if unit.endswith('k3')][:4]
    now = dict.fromkeys(paths, 4)
    importance = {
        unit: torch.zeros(now.get(unit, 0)) for unit in model.supernet
    }
    importance[paths[-1]] += 1
    highest = 0.98 * model.total(now)
    keep = select_within(importance, 1e-3, model, (0.97 * highest, highest))
    assert sum(len(index) > 0 for index in keep.values()) == 3


def test_below_all_limits_goes_what_loses_least(cost_model: CostModel) -> None:
    """Not what loses least for what it saves, as nobody needs that much."""
    model = timed(cost_model)
    part = next(iter(model.parts.values()))
    small, large = sorted(u for u in part.units if 'mixconv' in u)
    losses = {small: 1.0, large: 1.05}  # each of four elements
    now = dict.fromkeys(losses, 4)
    total = model.total(now)
    rates = [
        loss / (total - model.total({**now, unit: 0}))
        for unit, loss in losses.items()
    ]
    assert rates[0] > rates[1]
    importance = {unit: torch.zeros(0) for unit in model.supernet}
    importance |= {u: torch.full((4,), loss) for u, loss in losses.items()}
    limits = (total - 2e-3, total - 1e-3)
    keep = select_within(importance, 1e-3, model, limits)
    assert [unit for unit, kept in keep.items() if len(kept)] == [large]


def test_what_nobody_knows_the_importance_of_goes_last(
    cost_model: CostModel,
) -> None:
    """Frozen importance factors have an infinite importance."""
    model = timed(cost_model)
    importance = {u: torch.ones(n) for u, n in model.supernet.items()}
    frozen = max(importance)
    importance[frozen] += math.inf
    total = model.total(model.supernet)
    keep = select_within(importance, 1e-3, model, (0.5 * total, 0.51 * total))
    assert len(keep[frozen]) == model.supernet[frozen]
    everything = {
        u: torch.full((n,), math.inf) for u, n in model.supernet.items()
    }
    limits = (0.5 * total - 1e-4, 0.5 * total)
    keep = select_within(everything, 1e-3, model, limits)
    assert model.total({u: len(i) for u, i in keep.items()}) <= limits[1]


@pytest.mark.parametrize('change', [dict(exponent=1e9), dict(factor=1e308)])
def test_a_table_whose_times_overflow_is_refused(
    cost_model: CostModel, change: dict[str, float]
) -> None:
    table = table_of_formula(cost_model)
    calibration = replace(
        table.calibration,
        exponent=change.get('exponent', 1.0),
        factors=dict.fromkeys(FACTORS, change.get('factor', 100.0)),
    )
    latency = Latency(replace(table, calibration=calibration))
    with pytest.raises(ValueError, match='positive and finite time, got inf'):
        latency.check(cost_model)


@pytest.mark.parametrize('ratio', [0.4, '0.4'])
def test_with_a_table_a_ratio_is_of_milliseconds(
    cost_model: CostModel, ratio: float | str
) -> None:
    latency = Latency(table_of_formula(cost_model))
    named = parse_budget(dict(latency=0.4), cost_model, latency=latency)
    assert parse_budget(ratio, cost_model, latency=latency) == named
    for target in (dict(macs=ratio), '200K', 2e5):
        budget = parse_budget(target, cost_model, latency=latency)
        assert budget.cost.name == 'macs'
    assert parse_budget(ratio, cost_model).cost.name == 'macs'


@pytest.mark.parametrize('round', [1, 4, 16])
@pytest.mark.parametrize('seed', range(3))
def test_an_element_stays_at_the_least_target(
    cost_model: CostModel, seed: int, round: int
) -> None:
    """Whichever is the last: the least target is met by any of them."""
    latency = Latency(table_of_formula(cost_model, round=round))
    with pytest.raises(ValueError) as error:
        parse_budget('0.1ms', cost_model, latency=latency)
    (least,) = re.findall(r'at least (\S+)', str(error.value))
    budget = parse_budget(f'{least}ms', cost_model, latency=latency)
    model = budget.cost_model
    torch.manual_seed(seed)
    importance = {u: torch.rand(n) for u, n in model.supernet.items()}
    limits = 0.97 * budget.amount, budget.amount
    keep = select_within(importance, 1e-3, model, limits)
    left = {unit: len(index) for unit, index in keep.items()}
    assert sum(left.values()) >= 1 and model.total(left) <= budget.amount


@pytest.mark.parametrize('target', ['0.9ms', '3ms'])
def test_a_uniform_network_fills_its_steps(
    cost_model: CostModel, target: str
) -> None:
    """Some units are empty where one element of each does not fit."""
    latency = Latency(table_of_formula(cost_model))
    budget = parse_budget(target, cost_model, latency=latency)
    network = uniform_architecture(budget)
    spent = budget.spent(network)
    assert spent <= budget.amount
    for unit, count in network.items():
        if 0 < count < budget.cost_model.supernet[unit]:
            assert budget.spent({**network, unit: count + 1}) > spent


def first_curve(content: dict[str, Any]) -> dict[str, Any]:
    return next(iter(next(iter(content['curves'].values())).values()))


BROKEN = {
    'negative': (lambda c: first_curve(c).update(ms=[-1.0] * 9), 'finite'),
    'falling': (
        lambda c: first_curve(c)['ms'].__setitem__(-1, 0.0),
        'never fall',
    ),
    'nan': (
        lambda c: first_curve(c)['ms'].__setitem__(-1, math.nan),
        'finite',
    ),
    'offset': (lambda c: c['calibration'].update(offset=-1), 'offset'),
    'unit': (lambda c: c.update(unit='us'), "in 'us'"),
    'curves': (lambda c: c.pop('curves'), 'is no table'),
    'condition': (lambda c: c['conditions'].pop('threads'), 'is no table'),
    'text': (lambda c: first_curve(c).update(ms=['1']), 'is no table'),
    'round': (lambda c: c['conditions'].update(round=0), 'at least 1'),
    'batch': (
        lambda c: c['conditions'].update(batch=1.5),
        'batch must be a whole number, got 1.5',
    ),
    'exponent': (lambda c: c['calibration'].update(exponent=0), 'exponent'),
    'overflow': (
        lambda c: first_curve(c)['ms'].__setitem__(-1, math.inf),
        'times that are finite',
    ),
    'huge time': (
        lambda c: c['calibration'].update(offset=10**400),
        'offset must be of at most 64 bits',
    ),
    'huge round': (
        lambda c: c['conditions'].update(round=10**400),
        'round must be of at most 64 bits',
    ),
    'threads': (
        lambda c: c['conditions'].update(threads=10**9),
        'at most 4096, got threads=1000000000',
    ),
    'unhashable': (lambda c: c['conditions'].update(backend=[]), 'text, got'),
}


@pytest.mark.parametrize('case', BROKEN)
def test_a_table_that_was_edited_is_refused(
    cost_model: CostModel, case: str, tmp_path: Path
) -> None:
    change, words = BROKEN[case]
    content = json.loads(json.dumps(table_of_formula(cost_model).as_json()))
    assert table_of(content) == table_of_formula(cost_model)  # as it was
    change(content)
    path = tmp_path / 'table.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f'table.json .*{words}'):
        read_latency_table(str(path))


def test_a_table_of_another_supernet_is_refused(cost_model: CostModel) -> None:
    latency = Latency(table_of_formula(cost_model))
    latency.check(cost_model)
    with pytest.raises(ValueError, match='input shape .3, 64, 64.'):
        latency.check(CostModel(supernet(), (3, 64, 64)))
    with pytest.raises(ValueError, match='of another'):
        latency.check(CostModel(supernet(num_tokens=3), SHAPE))
    swish = CostModel(supernet(act_cfg=dict(type='Swish')), SHAPE)
    with pytest.raises(ValueError, match='differ in layers, such as'):
        latency.check(swish)
    Latency(replace(latency.table, layers={})).check(swish)  # it cannot tell
    heads = dict(head_dims=4, num_heads=2, ffn_dims=16)  # as many parameters
    with pytest.raises(ValueError, match='such as attention of 2 heads'):
        latency.check(CostModel(supernet(transformer=heads), SHAPE))
    with pytest.raises(ValueError, match='a table of this model, which has'):
        latency.check(CostModel(supernet(token_size=3), SHAPE))
    table = latency.table
    incomplete = Latency(
        replace(table, curves=dict([*table.curves.items()][1:]))
    )
    with pytest.raises(ValueError, match='times of all parts .* none for'):
        incomplete.check(cost_model)
