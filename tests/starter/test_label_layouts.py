"""Label maps beside images, in the layouts that people have them in."""

import os
from pathlib import Path

import pytest
from own_data import IMAGE, class_folders, pairs, write
from starter import detect
from starter import write as write_draft
from starter.writing import config_for


@pytest.mark.parametrize(
    'image, label, folders, suffixes',
    [
        (
            '{}/images/{}.png', '{}/masks/{}.png',
            ('train/images', 'train/masks'), ('.png', '.png'),
        ),
        (
            '{}/Image/{}.jpg', '{}/Label/{}_m.png',
            ('train/Image', 'train/Label'), ('.jpg', '_m.png'),
        ),
        (
            '{}/{}.png', '{}annot/{}.png',
            ('train', 'trainannot'), ('.png', '.png'),
        ),
        (
            'images_{}/{}.png', 'masks_{}/{}.png',
            ('images_train', 'masks_train'), ('.png', '.png'),
        ),
        (
            '{}/{}.jpg', '{}/{}_mask.png',
            ('train', 'train'), ('.jpg', '_mask.png'),
        ),
        ('{}/{}.jpg', '{}/{}.png', ('train', 'train'), ('.jpg', '.png')),
    ],
)  # fmt: skip
def test_layouts(
    tmp_path: Path,
    image: str,
    label: str,
    folders: tuple[str, str],
    suffixes: tuple[str, str],
) -> None:
    pairs(tmp_path, image, label)
    for path in list(tmp_path.rglob('*.*')):  # as macOS leaves them
        path.with_name(f'._{path.name}').write_bytes(b'Mac OS X')
    found = detect(str(tmp_path))
    assert found.task == 'label_maps' and found.images == 4
    assert found.facts['folders']['train'] == folders
    assert found.facts['suffixes']['val'] == suffixes
    assert found.facts['classes'] == ['class 0', 'class 1']
    assert not found.copies


def test_label_maps_that_end_as_images_do(tmp_path: Path) -> None:
    """mmseg would take x_mask.png for an image, but for a list."""
    pairs(tmp_path / 'data', '{}/{}.png', '{}/{}_mask.png')
    found = detect(str(tmp_path / 'data'))
    out = str(tmp_path / 'mine.py')
    write_draft(config_for(found, str(tmp_path / 'data'), out), out)
    listed = tmp_path / 'mine_annotations/val.txt'
    assert listed.read_text() == '0\n1\n2\n3\n'
    assert f'ann_file={str(listed)!r}' in Path(out).read_text()


@pytest.mark.parametrize('below', ['.', 'VOCdevkit/VOC2012'])
def test_lists_of_voc(tmp_path: Path, below: str) -> None:
    root = tmp_path / below
    pairs(
        root, 'JPEGImages/{1}.jpg', 'SegmentationClass/{1}.png', splits=False
    )
    pairs(root, 'JPEGImages/{1}.jpg', 'SegmentationObject/{1}.png', 2, False)
    write(root / 'JPEGImages/a_dog.jpg', IMAGE)  # without a label map
    for name, train in (('Segmentation', '0\n2\n'), ('Main', '0\na_dog\n')):
        folder = root / 'ImageSets' / name
        folder.mkdir(parents=True)
        (folder / 'train.txt').write_text(train)
        (folder / 'val.txt').write_text('5\n6\n7\n')
        (folder / 'trainval.txt').write_text('0\n5\n')
    found = detect(str(tmp_path))
    assert found.images == 2 and not found.copies
    files = found.facts['files']
    assert files == {
        split: os.path.normpath(f'{below}/ImageSets/Segmentation/{split}.txt')
        for split in ('train', 'val')
    }
    images, labels = found.facts['folders']['val']
    assert images.endswith('JPEGImages') and labels.endswith('Class')


def test_lists_that_mmseg_would_misread(tmp_path: Path) -> None:
    """It adds the suffix to each line, also to an empty one."""
    pairs(tmp_path, 'images/{1}.jpg', 'masks/{1}.png', splits=False)
    (tmp_path / 'train.txt').write_bytes(b'0.jpg\r\n1.jpg\r\n\r\n')
    (tmp_path / 'val.txt').write_text('5\n6')
    found = detect(str(tmp_path))
    assert found.copies == dict(train='0\n1\n')
    assert found.facts['files'] == dict(train='', val='val.txt')


@pytest.mark.parametrize(
    'image, label',
    [('images/{1}.png', 'masks/{1}.png'), ('{1}.jpg', '{1}.png')],
)
def test_no_split(tmp_path: Path, image: str, label: str) -> None:
    pairs(tmp_path, image, label, splits=False)
    with pytest.raises(ValueError, match='but no split: make a folder train'):
        detect(str(tmp_path))


def test_classes_that_are_called_as_label_maps(tmp_path: Path) -> None:
    class_folders(tmp_path)
    for split in ('train', 'val'):
        (tmp_path / split / 'a square').rename(tmp_path / split / 'mask')
        (tmp_path / split / 'empty').rename(tmp_path / split / 'no_mask')
    found = detect(str(tmp_path))
    assert found.facts['classes'] == ['mask', 'no_mask']


@pytest.mark.parametrize(
    'old, new, message',
    [
        ('images/train/1.png', 'images/train/1.jpg', '1.jpg and .*1.png must'),
        ('masks/train/1.png', 'masks/train/1.bmp', '1.png and .*1.bmp must'),
    ],
)
def test_mixed_suffixes(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    pairs(tmp_path, 'images/{}/{}.png', 'masks/{}/{}.png')
    (tmp_path / old).rename(tmp_path / new)
    with pytest.raises(ValueError, match=f'{message} end in .png and .png'):
        detect(str(tmp_path))


def test_files_that_show_labels_in_another_way(tmp_path: Path) -> None:
    """Cityscapes has three files per image."""
    image = 'leftImg8bit/{}/aachen/a_{}_leftImg8bit.png'
    pairs(tmp_path, image, 'gtFine/{}/aachen/a_{}_gtFine_labelIds.png')
    pairs(tmp_path, image, 'gtFine/{}/aachen/a_{}_gtFine_color.png')
    suffixes = detect(str(tmp_path)).facts['suffixes']
    assert suffixes['val'] == ('leftImg8bit.png', 'gtFine_labelIds.png')
