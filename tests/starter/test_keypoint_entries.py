"""Keypoints as tools export them: repaired into a copy, or refused."""

import json
from pathlib import Path
from typing import Any

import own_data
import pytest
from own_data import Content, change_all, each
from starter import detect


def hide(content: Content) -> None:
    for annotation in content['annotations']:
        annotation['keypoints'][2::3] = [0, 0, 0]


def test_keypoints_that_are_not_labelled(tmp_path: Path) -> None:
    own_data.keypoints(tmp_path)
    change_all(tmp_path, hide)
    with pytest.raises(ValueError, match='a visibility of 0 for all: write 2'):
        detect(str(tmp_path))


def test_keypoints_of_crowds_alone(tmp_path: Path) -> None:
    """mmpose leaves them out, and fails without any."""
    own_data.keypoints(tmp_path)
    change_all(tmp_path, each('annotations', iscrowd=1))
    with pytest.raises(ValueError, match='not empty and is no crowd'):
        detect(str(tmp_path))


def empty_some(content: Content) -> None:
    first, second, third, fourth = content['annotations'][:4]
    first['keypoints'][:3] = [None, None, 0]
    second['keypoints'] = None
    del third['keypoints'], third['num_keypoints']
    fourth['num_keypoints'] = 0


def test_keypoints_that_are_null(tmp_path: Path) -> None:
    own_data.keypoints(tmp_path)
    change_all(tmp_path, empty_some)
    found = detect(str(tmp_path))
    assert found.images == 18
    annotations = found.copies['train']['annotations'][:4]
    assert [a['num_keypoints'] for a in annotations] == [2, 0, 0, 3]
    assert annotations[0]['keypoints'][:3] == [0, 0, 0]
    assert [a['keypoints'] for a in annotations[1:3]] == [[0] * 9] * 2


@pytest.mark.parametrize(
    'skeleton, links, note',
    [
        ([[0, 1], [1, 2]], [[0, 1], [1, 2]], 'counted from 0'),
        ([[1, 2], [3, 4], ['a', 1]], [[0, 1]], 'are left out: 2'),
        (None, [], ''),
    ],
)
def test_skeletons(
    tmp_path: Path, skeleton: Any, links: list[list[int]], note: str
) -> None:
    own_data.keypoints(tmp_path)
    change_all(tmp_path, each('categories', skeleton=skeleton))
    found = detect(str(tmp_path))
    names = found.facts['names']
    assert found.facts['skeleton'] == [[names[a], names[b]] for a, b in links]
    assert note in ' '.join(found.notes)


def test_keypoints_of_val_are_those_of_train(tmp_path: Path) -> None:
    own_data.keypoints(tmp_path)
    path = tmp_path / 'squares_val2020.json'
    content = json.loads(path.read_text())
    content['categories'][0]['keypoints'].reverse()
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match='in the same order'):
        detect(str(tmp_path))


def test_a_category_without_keypoints_is_no_hindrance(tmp_path: Path) -> None:
    own_data.keypoints(tmp_path)
    change_all(
        tmp_path,
        lambda content: content['categories'].insert(
            0, dict(id=0, name='all')
        ),
    )
    assert len(detect(str(tmp_path)).facts['names']) == 3
