"""YOLO's boxes, turned into COCO's."""

from pathlib import Path

import pytest
from own_data import IMAGE, write
from starter import detect

TEXT = '1 0.5 0.25 0.5 0.5\n0 0 0 0.5 0 0.5 1\n'  # a box, and a triangle


def yolo(
    root: Path, images: str, labels: str, names: str = 'data.yaml'
) -> None:
    for split in ('train', 'val'):
        for i in range(2):
            write(root / images.format(split) / f'{i}.jpg', IMAGE)
        text = root / labels.format(split) / '1.txt'
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(TEXT)
    lines = dict(yaml='names: {0: cat, 1: dog}', txt='cat\ndog\n')
    (root / names).write_text(lines[names[-4:].lstrip('.')])


@pytest.mark.parametrize(
    'images, labels, names',
    [
        ('images/{}', 'labels/{}', 'data.yaml'),
        ('{}/images', '{}/labels', 'classes.txt'),
        ('{}', '{}', 'data.yaml'),
    ],
)
def test_boxes(tmp_path: Path, images: str, labels: str, names: str) -> None:
    yolo(tmp_path, images, labels, names)
    found = detect(str(tmp_path))
    assert found.task == 'boxes' and found.facts['classes'] == ['cat', 'dog']
    content = found.copies['val']
    boxes = [(a['category_id'], a['bbox']) for a in content['annotations']]
    assert boxes == [(1, [3, 0, 6, 4]), (0, [0, 0, 6, 8])]
    assert {a['image_id'] for a in content['annotations']} == {1}
    assert len(content['images']) == 2


@pytest.mark.parametrize(
    'line', ['0 6 4 3 2', '2 0.5 0.5 0.5 0.5', '0 0.5 0.5 0.5', 'cat 0 0 1 1']
)
def test_lines_that_are_no_boxes(tmp_path: Path, line: str) -> None:
    yolo(tmp_path, 'images/{}', 'labels/{}')
    (tmp_path / 'labels/train/1.txt').write_text(f'{TEXT}{line}\n')
    with pytest.raises(
        ValueError, match=f'1.txt, line 3, must .* got {line!r}'
    ):
        detect(str(tmp_path))


def test_what_is_missing(tmp_path: Path) -> None:
    yolo(tmp_path / 'flat', 'images', 'labels')
    with pytest.raises(ValueError, match="YOLO's, but no split"):
        detect(str(tmp_path / 'flat'))
    yolo(tmp_path, 'images/{}', 'labels/{}')
    (tmp_path / 'data.yaml').unlink()
    with pytest.raises(ValueError, match='must have a data.yaml with names'):
        detect(str(tmp_path))
