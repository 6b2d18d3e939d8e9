"""Architectures: read off, applied, stored, refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from counting import counted, random_keep
from tiny import supernet

from hrnas_mm.search import (
    CostModel,
    apply_architecture_,
    architecture_in,
    architecture_of,
    describe_architecture,
    named_search_units,
    read_architecture,
    read_description,
    shrink_,
    write_architecture,
)


def test_round_trip_through_json(tmp_path: Path) -> None:
    model = supernet()
    cost_model = CostModel(model, (3, 32, 48))
    shrink_(model, random_keep(model))
    path = str(tmp_path / 'architecture.json')
    description = describe_architecture(model, cost_model)
    write_architecture(path, description)
    assert [p.name for p in tmp_path.iterdir()] == ['architecture.json']
    assert read_description(path) == description
    params = sum(p.numel() for p in model.parameters())
    supernet_units = description.supernet.items()
    elements = {name: unit.elements for name, unit in supernet_units}
    assert elements == architecture_of(supernet())
    written = Path(path).read_bytes()
    write_architecture(path, read_description(path))
    assert Path(path).read_bytes() == written
    other = supernet()
    apply_architecture_(other, read_architecture(path))
    other.load_state_dict(model.state_dict())
    macs = counted(other, (3, 32, 48))
    assert description.costs == dict(macs=macs, params=params)


def test_removed_units_count_zero() -> None:
    model = supernet()
    shrink_(model, {'fuse.mixconv.k3': torch.arange(0)})
    assert architecture_of(model)['fuse.mixconv.k3'] == 0
    assert 'fuse.mixconv.k3' not in named_search_units(model)


def test_read_off_a_state_dict() -> None:
    model = supernet()
    shrink_(model, random_keep(model))
    found = architecture_in(model.state_dict(), supernet())
    assert found == architecture_of(model)
    assert architecture_in({'conv.weight': torch.ones(1)}, model) is None


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda a: a.pop('fuse.mixconv.k3'), "has no unit 'fuse.mixconv.k3'"),
        (
            lambda a: a.update({'fuse.mixconv.k9': 1}),
            "model has no unit 'fuse.mixconv.k9'",
        ),
        (
            lambda a: a.update({'fuse.mixconv.k3': 999}),
            'fuse.mixconv.k3 must have 0 to 24 elements, got 999',
        ),
        (lambda a: a.update({'fuse.mixconv.k3': 1.5}), 'got 1.5'),
        (
            lambda a: a.update({'fuse.mixcon.k3': 1}),
            "'fuse.mixcon.k3'; did you mean 'fuse.mixconv.k3'",
        ),
    ],
)
def test_architecture_of_another_supernet_is_refused(
    change: Callable[[dict[str, int]], Any], message: str
) -> None:
    model = supernet(fuse_channels=6)
    architecture = architecture_of(model)
    change(architecture)
    before = architecture_of(model)
    with pytest.raises(ValueError, match=message):
        apply_architecture_(model, architecture)
    assert architecture_of(model) == before


@pytest.mark.parametrize(
    'text, message',
    [
        ('{', 'is not JSON'),
        ('[]', r'must be \{name: ...\}, got \[\]'),
        ('[' * 100_000, 'nested too deep'),
        ('{"schema": 3, "units": {}}', 'schema'),
        ('{"schema": 2}', 'units'),
        (
            '{"schema": 2, "units": {}, "cost": {}}',
            "'cost'; did you mean 'costs'",
        ),
        ('{"schema": 2, "units": {}, "x": 3}', "unknown field 'x'$"),
        ('{"schema": 2, "units": {"a": 1, "a": 2}}', "'a' is there twice"),
        ('{"schema": 2, "units": {"a": true}}', 'a must .* got True'),
        ('{"schema": 2, "units": {"a": -1}}', 'a must .* got -1'),
        (
            '{"schema": 2, "units": {}, "supernet": 3}',
            r'supernet must be \{name: ...\}, got 3',
        ),
        (
            '{"schema": 2, "units": {}, "supernet": {"a": 3}}',
            'supernet.a must .* got 3',
        ),
    ],
)
def test_file_that_is_no_architecture(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / 'a.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_architecture(str(path))
