"""Annotations as tools export them: repaired into a copy, or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import own_data
import pytest
from PIL import Image
from starter import detect

Content = dict[str, Any]
Change = Callable[[Content], object]
SPLITS = ('train', 'val')


def change_all(root: Path, change: Change) -> None:
    for split in SPLITS:
        path = root / f'squares_{split}2020.json'
        content = json.loads(path.read_text())
        for i, annotation in enumerate(content['annotations'], 1):
            annotation['id'] = i
        change(content)
        path.write_text(json.dumps(content))


def each(kind: str, **fields: Any) -> Change:
    """Set a field of all entries, or remove it."""

    def change(content: Content) -> None:
        for entry in content[kind]:
            entry.update(fields)
            for name in [n for n, value in fields.items() if value is ...]:
                del entry[name]

    return change


def write_ids_as_text(content: Content) -> None:
    for image in content['images']:
        image['id'] = f'{image["id"]:05d}'
    for annotation in content['annotations']:
        annotation['image_id'] = f'{annotation["image_id"]:05d}'
        annotation['category_id'] = str(annotation['category_id'])


def count_from_zero(content: Content) -> None:
    for annotation in content['annotations']:
        annotation['id'] -= 1


REPAIRED: dict[str, tuple[Change, Callable[[Content, Content], bool]]] = {
    'ids of images are whole numbers': (
        write_ids_as_text,
        lambda old, new: (
            [a['image_id'] for a in new['annotations']]
            == [i['id'] for i in new['images']]
            == list(range(1, 1 + len(old['images'])))
        ),
    ),
    'ids of categories are whole numbers': (
        write_ids_as_text,
        lambda old, new: {a['category_id'] for a in new['annotations']} == {1},
    ),
    'annotations are numbered from 1': (
        count_from_zero,
        lambda old, new: (
            [a['id'] for a in new['annotations']]
            == list(range(1, 1 + len(old['annotations'])))
        ),
    ),
    'iscrowd, which was not there, is 0': (
        each('annotations', iscrowd=None),
        lambda old, new: all(a['iscrowd'] == 0 for a in new['annotations']),
    ),
    "area, which was not there, is the box's": (
        each('annotations', area=...),
        lambda old, new: all(
            a['area'] == a['bbox'][2] * a['bbox'][3]
            for a in new['annotations']
        ),
    ),
    'heights and widths are those of the images': (
        each('images', height=..., width=...),
        lambda old, new: new['images'] == old['images'],
    ),
}


@pytest.mark.parametrize('note', REPAIRED)
def test_what_is_repaired(tmp_path: Path, note: str) -> None:
    """In a copy, from which nothing else is missing."""
    own_data.boxes(tmp_path)
    path = tmp_path / 'squares_train2020.json'
    old = json.loads(path.read_text())
    change, is_right = REPAIRED[note]
    change_all(tmp_path, change)
    before = path.read_bytes()
    found = detect(str(tmp_path))
    assert path.read_bytes() == before
    assert is_right(old, found.copies['train'])
    assert any(note in line for line in found.notes)


def test_what_needs_no_repair(tmp_path: Path) -> None:
    own_data.boxes(tmp_path)
    change_all(tmp_path, each('annotations', segmentation=None))
    (tmp_path / '._squares_train2020.json').write_bytes(b'Mac OS X')
    assert not detect(str(tmp_path)).copies


def test_byte_order_mark(tmp_path: Path) -> None:
    """pycocotools cannot read it."""
    own_data.boxes(tmp_path)
    change_all(tmp_path, lambda content: None)
    path = tmp_path / 'squares_val2020.json'
    path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())
    assert [*detect(str(tmp_path)).copies] == ['val']


def test_roboflow(tmp_path: Path) -> None:
    """A file per folder, everything from 0, a category that holds all."""
    own_data.boxes(tmp_path)
    for split, name in zip(SPLITS, ('train', 'valid')):
        (tmp_path / 'photos' / split).rename(tmp_path / name)
        path = tmp_path / f'squares_{split}2020.json'
        content = json.loads(path.read_text())
        names = [dict(id=0, name='shapes'), dict(id=1, name='square')]
        content['categories'] = names
        new = tmp_path / name / '_annotations.coco.json'
        new.write_text(json.dumps(content))
        path.unlink()
    (tmp_path / 'squares_test2020.json').unlink()
    found = detect(str(tmp_path))
    assert found.facts['classes'] == ['shapes', 'square']
    assert found.facts['folders'] == dict(train='train', val='valid')
    assert found.copies['train']['annotations'][0]['id'] == 1


def scale(content: Content) -> None:
    for image in content['images']:
        image['height'], image['width'] = 2 * image['height'], image['width']


@pytest.mark.parametrize(
    'change, message',
    [
        (each('images', height=None), r'images\[0\] must have a height.*null'),
        (each('images', width='64'), r"images\[0\] must have a width.*'64'"),
        (each('annotations', area=None), r'annotations\[0\] must have an ar'),
        (
            each('annotations', area=0),
            r"above 0, got 0; .*annotation\['area'\]",
        ),
        (each('annotations', bbox=None), r'annotations\[0\] must have bbox'),
        (each('categories', name=None), r'categories\[0\] must have name'),
        (each('images', id=1), 'an id of its own for each of its images'),
        (each('annotations', iscrowd=1), 'and are no crowds'),
        (scale, 'must give .*0.jpg the height'),
    ],
)
def test_what_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    own_data.boxes(tmp_path)
    change_all(tmp_path, change)
    with pytest.raises(ValueError, match=f'squares_train2020.json.*{message}'):
        detect(str(tmp_path))


def exchange(content: Content) -> None:
    for image in content['images']:
        image['height'], image['width'] = image['width'], image['height']


@pytest.mark.parametrize('as_seen', [True, False])
def test_photos_that_exif_turns(tmp_path: Path, as_seen: bool) -> None:
    """Boxes are of what mmcv reads, which is the turned photo."""
    own_data.boxes(tmp_path)
    if as_seen:
        change_all(tmp_path, exchange)
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in tmp_path.rglob('*.jpg'):
        with Image.open(path) as image:
            image.save(path, exif=exif)
    if as_seen:
        detect(str(tmp_path))
    else:
        with pytest.raises(ValueError, match='before its EXIF orientation, 6'):
            detect(str(tmp_path))


def hide(content: Content) -> None:
    for annotation in content['annotations']:
        annotation['keypoints'][2::3] = [0, 0, 0]


def test_keypoints_that_are_not_labelled(tmp_path: Path) -> None:
    own_data.keypoints(tmp_path)
    change_all(tmp_path, hide)
    with pytest.raises(ValueError, match='a visibility of 0 for all: write 2'):
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
