"""Annotations as tools export them: repaired into a copy, or refused."""

import json
from collections.abc import Callable
from pathlib import Path

import own_data
import pytest
from own_data import SPLITS, Change, Content, change_all, each
from PIL import Image
from starter import detect


def write_ids_as_text(content: Content) -> None:
    for image in content['images']:
        image['id'] = f'{image["id"]:05d}'
    for annotation in content['annotations']:
        annotation['image_id'] = f'{annotation["image_id"]:05d}'
        annotation['category_id'] = str(annotation['category_id'])


def write_ids_as_floats(content: Content) -> None:
    for image in content['images']:
        image['id'] = float(image['id'])


def write_windows_paths(content: Content) -> None:
    split = 'train' if len(content['images']) > 10 else 'val'
    for image in content['images']:
        image['file_name'] = f'photos\\{split}\\{image["file_name"]}'


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
    'names of files have / between folders': (
        write_windows_paths,
        lambda old, new: new['images'][0]['file_name'] == 'photos/train/0.jpg',
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


def test_ids_are_the_same_as_floats(tmp_path: Path) -> None:
    own_data.boxes(tmp_path)
    change_all(tmp_path, write_ids_as_floats)
    content = detect(str(tmp_path)).copies['train']
    ids = {image['id'] for image in content['images']}
    assert {a['image_id'] for a in content['annotations']} == ids


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
        (
            each('annotations', iscrowd='0'),
            "must have iscrowd 0 or 1, got '0'",
        ),
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
