"""Architectures: read off, applied, stored, refused."""

import json
from pathlib import Path

import pytest
import torch
from test_cost import random_keep
from tiny import supernet

from hrnas_mm.search import (
    apply_architecture_,
    architecture_in,
    architecture_of,
    named_search_units,
    read_architecture,
    shrink_,
    write_architecture,
)


def test_round_trip_through_json(tmp_path):
    model = supernet()
    shrink_(model, random_keep(model))
    path = str(tmp_path / 'architecture.json')
    write_architecture(path, architecture_of(model), macs=1, params=2)
    assert read_architecture(path) == architecture_of(model)
    assert json.loads(Path(path).read_text())['macs'] == 1
    assert [p.name for p in tmp_path.iterdir()] == ['architecture.json']
    other = supernet()
    apply_architecture_(other, read_architecture(path))
    other.load_state_dict(model.state_dict())


def test_removed_units_count_zero():
    model = supernet()
    shrink_(model, {'fuse.mixconv.k3': torch.arange(0)})
    assert architecture_of(model)['fuse.mixconv.k3'] == 0
    assert 'fuse.mixconv.k3' not in named_search_units(model)


def test_read_off_a_state_dict():
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
    ],
)
def test_architecture_of_another_supernet_is_refused(change, message):
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
        ('[]', 'schema'),
        ('{"schema": 2, "units": {}}', 'schema'),
        ('{"schema": 1}', 'units'),
    ],
)
def test_file_that_is_no_architecture(tmp_path, text, message):
    path = tmp_path / 'a.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_architecture(str(path))
