"""Curves show the numbers of the record."""

import math
from typing import Any

import numpy as np
import pytest
from comparison.picture import mean_and_deviation, plot_comparison
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from records import make_record

from hrnas_mm.report import (
    plot_pareto,
    plot_search,
)
from hrnas_mm.report.curves import main_metric, run_panels
from hrnas_mm.report.record import Evaluation, architecture_in


def lines(axes: Axes) -> dict[Any, Any]:
    return {line.get_label(): line.get_xydata() for line in axes.lines}


def test_search() -> None:
    record = make_record()
    figure: Any = plot_search(record)
    cost, quality, alive, rho = figure.axes
    macs = next(
        data for name, data in lines(cost).items() if name.startswith('multi')
    )
    steps = [network.iter for network in record.history]
    whole = record.costs['macs']
    shares = [100 * n.costs['macs'] / whole for n in record.history]
    np.testing.assert_allclose(macs[:-1], np.c_[steps, shares])
    np.testing.assert_allclose(macs[-1], (40, shares[-1]))
    assert any(name.startswith('target') for name in lines(cost))
    (metric,) = quality.lines
    np.testing.assert_allclose(metric.get_ydata(), [50, 49, 48, 47])
    assert quality.get_ylabel() == 'mIoU'
    assert len(alive.lines) == 3
    last = architecture_in(record, record.history[-1])
    tokens = sum(n for unit, n in last.items() if unit.endswith('tokens'))
    assert f'tokens: {tokens}' in lines(alive)
    np.testing.assert_allclose(
        rho.lines[0].get_ydata()[:-1], [n.rho for n in record.history]
    )


def test_a_negative_loss_is_drawn() -> None:
    curves = dict(iter=[1, 2, 3], loss=[3.0, -1.0, -5.0])
    (panel,) = run_panels(make_record(curves=curves))
    axes = Figure().subplots()
    panel(axes)
    low, high = axes.get_ylim()
    assert low < -5 < 3 < high


def test_networks_are_compared_by_mean_and_deviation() -> None:
    points = dict(
        a=[(1.0, 0.71), (3.0, 0.75)], b=[(4.0, 0.7238)], c=[(1.0, math.nan)]
    )
    figure: Any = plot_comparison(points, 'ms', 'AP')
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ['0.73', '0.724']
    center, *_ = axes.lines[0].get_xydata()
    np.testing.assert_allclose(center, (2, 0.73))
    assert mean_and_deviation((1, 3)) == (2, pytest.approx(2**0.5))


def test_search_without_target_and_evaluation() -> None:
    record = make_record(
        shrinks=0, target=False, milestones=False, evaluations=[]
    )
    cost, quality, *_ = plot_search(record).axes
    assert not any(name.startswith('target') for name in lines(cost))
    assert not quality.lines and quality.get_ylabel() == 'no evaluation'


def test_pareto() -> None:
    record = make_record()
    figure: Any = plot_pareto(
        dict(a=record, b=make_record(milestones=False)), 'aAcc'
    )
    first, second = figure.axes[0].lines
    last, half = record.history[-1].costs, record.milestones[0].costs
    expected = sorted([(last['macs'], 87.0), (half['macs'], 89.0)])
    np.testing.assert_allclose(first.get_xydata(), expected)
    np.testing.assert_allclose(second.get_xydata(), [(last['macs'], 87.0)])
    figure = plot_pareto(dict(a=record), 'aAcc', 'params')
    assert figure.axes[0].lines[0].get_xdata()[0] == last['params']
    with pytest.raises(ValueError, match='--cost must be one of macs, params'):
        plot_pareto(dict(a=record), 'aAcc', 'ms')


def test_a_network_that_was_not_evaluated_is_not_in_the_pareto_plot() -> None:
    record = make_record(milestones=False)
    record.evaluations.pop()
    figure: Any = plot_pareto(dict(a=record, b=make_record()))
    assert not len(figure.axes[0].lines[0].get_xdata())
    with pytest.raises(ValueError, match='none of a has evaluated'):
        plot_pareto(dict(a=record))


def test_metric() -> None:
    records = [make_record()]
    assert main_metric(records) == 'mIoU'
    assert main_metric(records, 'aAcc') == 'aAcc'
    metrics = {'KITTI/Car_3D': 1.0, 'KITTI/Overall_3D_AP40_moderate': 2.0}
    kitti = make_record(evaluations=[Evaluation(1, {}, metrics)])
    assert main_metric([kitti]) == 'KITTI/Overall_3D_AP40_moderate'
    assert main_metric([make_record(evaluations=[])]) == ''
    with pytest.raises(ValueError, match='one of aAcc, mIoU, got .AP.'):
        main_metric(records, 'AP')
