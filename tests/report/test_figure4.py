"""Figure 4: the sectors are the numbers, the places are the network's."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
import tiny
from matplotlib.colors import to_hex
from matplotlib.patches import Circle, Wedge
from PIL import Image
from records import make_record

from hrnas_mm.models import HRNASSupernet
from hrnas_mm.report import (
    Network,
    animate_search,
    draw_architectures,
)
from hrnas_mm.report.layout import Place, lay_out
from hrnas_mm.report.pies import block_text, network_at
from hrnas_mm.report.style import COLOURS, EMPTY, REMOVED
from hrnas_mm.search import CostModel, architecture_of, named_parts
from hrnas_mm.search.description import DescribedUnit, described_supernet

WHOLE = {'a.mixconv.k3': 6, 'a.mixconv.k5': 6, 'a.transformer.tokens': 4}
SUPERNET = {
    unit: DescribedUnit('a', unit.split('.')[-1], count)
    for unit, count in WHOLE.items()
}


def drawn(units: dict[str, int]) -> tuple[dict[str, float], str]:
    """Angles by colour of the one pie, and the colour behind it."""
    figure = draw_architectures([Network('net', SUPERNET, units, {})])
    (axes,) = figure.axes
    wedges = [p for p in axes.patches if isinstance(p, Wedge)]
    back = next(p for p in axes.patches if isinstance(p, Circle))
    angles = {to_hex(w.get_facecolor()): w.theta2 - w.theta1 for w in wedges}
    return angles, to_hex(back.get_facecolor())


def test_sectors_are_the_shares_of_the_elements() -> None:
    angles, back = drawn(
        {'a.mixconv.k3': 3, 'a.mixconv.k5': 0, 'a.transformer.tokens': 4}
    )
    assert angles == {
        COLOURS['k3'].lower(): pytest.approx(360 * 3 / 16),
        COLOURS['tokens'].lower(): pytest.approx(360 * 4 / 16),
    }
    assert back == REMOVED.lower()


def test_an_empty_block_is_grey() -> None:
    assert drawn(dict.fromkeys(WHOLE, 0)) == ({}, EMPTY.lower())


def test_text_of_a_block() -> None:
    network = Network('net', SUPERNET, {**WHOLE, 'a.mixconv.k5': 2}, {})
    assert block_text(network, 'a') == (
        'a: 3x3 6 of 6, 5x5 2 of 6, tokens 4 of 4'
    )


def gaps(places: Iterable[Place]) -> list[float]:
    """Between any two circles; negative where they overlap."""
    places = list(places)
    return [
        math.hypot(a.x - b.x, a.y - b.y) - a.radius - b.radius
        for i, a in enumerate(places)
        for b in places[:i]
    ]


@pytest.mark.parametrize(
    'options',
    [dict(fuse_channels=90), dict(), dict(multi_branch=False)],
    ids=['joined', 'branches', 'chain'],
)
def test_the_papers_supernet_has_room_for_all_blocks(
    options: dict[str, Any],
) -> None:
    parts = named_parts(HRNASSupernet(num_tokens=2, **options))
    blocks = {f'backbone.{name}' for name in parts}
    layout = lay_out(blocks)
    assert set(layout.places) == blocks
    assert min(gaps(layout.places.values())) > 0
    for name, place in layout.places.items():
        if '.branches.' in name:
            assert place.y == int(name.split('.branches.')[1][0])


def test_neck_and_other_networks_have_places_too() -> None:
    names = ['backbone.stages.0.fusion.fuse.0.0']
    names += [f'neck.0.widen.{i}' for i in range(4)]
    names += [f'neck.0.down.{i}' for i in range(3)]
    first, *_ = names
    for blocks in (
        names,
        [first, 'backbone.fuse', 'head.one', 'head.two'],
        [f'backbone.layer{i}.0' for i in range(30)],
    ):
        layout = lay_out(blocks)
        assert set(layout.places) == set(blocks)
        assert min(gaps(layout.places.values())) > 0


def test_a_part_of_many_layers_has_a_pie_for_each_module_in_it() -> None:
    kinds = {
        'net.stem': '3x3',
        'net.1.a': '1x1',
        'net.1.b': '3x3',
        'net.2.b': '3x3',
    }
    supernet = {n: DescribedUnit('net', k, 4) for n, k in kinds.items()}
    network = Network('net', supernet, dict.fromkeys(supernet, 2), {})
    assert network.parts == {
        'net': ['net.stem'],
        'net.1': ['net.1.a', 'net.1.b'],
        'net.2': ['net.2.b'],
    }
    assert block_text(network, 'net.1').endswith('1x1 2 of 4, 3x3 2 of 4')


def test_several_networks_below_each_other() -> None:
    record = make_record()
    networks = [network_at(record, i, 'run') for i in (0, -1)]
    figure = draw_architectures(networks)
    titles = [axes.get_title('left') for axes in figure.axes]
    assert titles[0].startswith('run, iteration 0\n')
    assert titles[1].startswith('run, iteration 30\n')
    assert 'multiply-adds' in titles[0] and 'parameters' in titles[0]


def test_animation_has_a_picture_per_shrink(tmp_path: Path) -> None:
    path = str(tmp_path / 'descent.gif')
    animate_search(make_record(shrinks=2), 'run', path)
    with Image.open(path) as image:
        # The last one stays; equal pictures may be one with a longer time.
        assert cast(Any, image).n_frames >= 3
    assert Path(path).stat().st_size < 1e6


def test_units_of_the_model_itself() -> None:
    """Of a backbone alone, whose names have no prefix."""
    model = tiny.supernet()
    units = described_supernet(CostModel(model, (3, 32, 32)))
    network = Network('net', units, architecture_of(model), {})
    figure = draw_architectures([network])
    circles = [p for p in figure.axes[0].patches if p.get_gid()]
    assert len(circles) == len(named_parts(model))
