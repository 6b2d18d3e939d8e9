"""What version 0.1 wrote still loads, in the words of today."""

import json

import torch

from hrnas_mm.search import read_architecture, read_description
from hrnas_mm.search.record import read_record
from hrnas_mm.search.schema1 import take_search_state_

SUPERNET = {
    'backbone.fuse.mixconv.k3': 4,
    'backbone.fuse.transformer.tokens': 2,
    'neck.down.1.channels': 3,
}
UNITS = {
    'backbone.fuse.mixconv.k3': 1,
    'backbone.fuse.transformer.tokens': 0,
    'neck.down.1.channels': 3,
}
DESCRIPTION = dict(
    schema=1,
    macs=10,
    params=7,
    input_shape=[3, 8, 8],
    supernet=SUPERNET,
    units=UNITS,
)
HISTORY = [
    dict(iter=0, macs=20, params=9, rho=0.1, k3=4, tokens=2, counts=[4, 2, 3]),
    dict(iter=5, macs=10, params=7, rho=0.2, k3=1, tokens=0, counts=[1, 0, 3]),
]
RECORD = dict(
    schema=1,
    supernet=SUPERNET,
    input_shape=[3, 8, 8],
    macs=20,
    params=9,
    target=dict(amount=10, resource='macs'),
    begin=0,
    end=5,
    max_iters=6,
    history=HISTORY,
    evaluations=[dict(iter=6, macs=10, metrics=dict(mIoU=1.0))],
    rungs=[],
)
FACTS = {
    'backbone.fuse.mixconv.k3': dict(
        part='backbone.fuse', kind='k3', elements=4
    ),
    'backbone.fuse.transformer.tokens': dict(
        part='backbone.fuse', kind='tokens', elements=2
    ),
    'neck.down.1.channels': dict(
        part='neck.down.1', kind='channels', elements=3
    ),
}
NOW, THEN = dict(macs=10, params=7), dict(macs=20, params=9)


def test_architecture(tmp_path):
    path = tmp_path / 'architecture.json'
    path.write_text(json.dumps(DESCRIPTION))
    torch.save(dict(architecture=DESCRIPTION), tmp_path / 'model.pth')
    for name in ('architecture.json', 'model.pth'):
        assert read_description(str(tmp_path / name)) == dict(
            schema=2,
            costs=NOW,
            input_shape=[3, 8, 8],
            supernet=FACTS,
            units=UNITS,
        )
    assert read_architecture(str(path)) == UNITS


def test_record(tmp_path):
    (tmp_path / 'search.json').write_text(json.dumps(RECORD))
    record = read_record(str(tmp_path))
    assert record['supernet'] == FACTS and record['costs'] == THEN
    assert record['target'] == dict(cost='macs', amount=10)
    assert [entry['costs'] for entry in record['history']] == [THEN, NOW]
    assert record['evaluations'][0]['costs'] == dict(macs=10)


def test_state_of_a_search():
    info = dict(
        search_state=dict(
            settings=dict(target='0.5'),
            last_shrink=5,
            controller=dict(rho=0.2, begin=0, start=20),
        ),
        search_history=HISTORY,
    )
    state = take_search_state_(dict(message_hub=dict(runtime_info=info)))
    assert state['controller'] == dict(
        rho=0.2, begin=0, start=20, last_shrink=5
    )
    history = state['history']
    assert [entry['costs'] for entry in history['shrinks']] == [THEN, NOW]
    assert history['evaluations'] == history['rungs'] == []
    assert take_search_state_(dict(search=state)) is state
    assert take_search_state_(dict(state_dict={})) is None
