"""What is in label maps: looked at, in all of them, and not believed."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from own_data import IMAGE, LABEL, pairs, write
from PIL import Image
from starter import detect, label_files

Change = Callable[[Path], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    pairs(tmp_path, 'images/{}/{}.png', 'masks/{}/{}.png')
    return tmp_path


def relabel(
    change: Callable[[np.ndarray], np.ndarray], *splits: str
) -> Change:
    def change_all(root: Path) -> None:
        for split in splits or ('train', 'val'):
            for path in root.glob(f'masks/{split}/*.png'):
                write(path, change(LABEL))

    return change_all


def save_as_jpeg(root: Path) -> None:
    for path in root.glob('masks/*/*.png'):
        Image.fromarray(LABEL * 255).save(path.with_suffix('.jpg'))
        path.unlink()


def shade(label: np.ndarray) -> np.ndarray:
    """As interpolation leaves it: grey values between the classes."""
    return np.linspace(0, 95, label.size, dtype=np.uint8).reshape(label.shape)


def cut_off(name: str) -> Change:
    def cut(root: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 2, LABEL.shape, np.uint8)
        write(root / name, noise)
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: len(content) * 2 // 3])

    return cut


def shrink_one(root: Path) -> None:
    write(root / 'masks/val/2.png', LABEL[::2, ::2])


def deepen(factor: int) -> Change:
    def deepen_all(root: Path) -> None:
        for path in root.glob('images/*/*.png'):
            write(path, IMAGE.astype(np.uint16) * factor)

    return deepen_all


def add_a_channel(root: Path) -> None:
    image = Image.fromarray(np.zeros((*LABEL.shape, 4), np.uint8))
    image.save(root / 'images/train/0.png')


def orient(value: int, root: Path) -> None:
    for path in root.glob('images/*/*.png'):
        exif = Image.Exif()
        exif[0x0112] = value
        image = np.arange(IMAGE.size, dtype=np.uint8).reshape(IMAGE.shape)
        path.unlink()
        Image.fromarray(image).save(path.with_suffix('.jpg'), exif=exif)


def orient_squares(root: Path) -> None:
    orient(6, root)
    for path in root.glob('images/*/*.jpg'):
        with Image.open(path) as image:
            exif = image.getexif()
            image.crop((0, 0, 8, 8)).save(path, exif=exif)
        write(root / f'masks/{path.parent.name}/{path.stem}.png', LABEL[:, :8])


@pytest.mark.parametrize(
    'change, message',
    [
        (save_as_jpeg, '0.jpg must not be a JPEG'),
        (relabel(shade), '0.png must have the numbers of classes, got 96'),
        (relabel(lambda x: x * 128), 'has the label 128, but of 0 to 128'),
        (relabel(lambda x: x * 255), 'labels 0 and 255 only.* write 1 for'),
        (relabel(lambda x: x * 255, 'val'), 'masks/val.* 0 and 255 only'),
        (relabel(lambda x: x * 0), 'must have more labels than 0'),
        (cut_off('masks/val/1.png'), 'masks/val/1.png cannot be read to'),
        (
            cut_off('images/val/1.png'),
            'images/val/1.png must be an image that',
        ),
        (shrink_one, '2.png must have the size of its image, 8x12 .*got 4x6'),
        (deepen(4), '0.png has 16 bits per value, .*at most 3 of 255'),
        (lambda root: orient(6, root), '0.jpg is turned by its EXIF'),
        (lambda root: orient(2, root), '0.jpg is turned by its EXIF'),
        (orient_squares, '0.jpg is turned by its EXIF orientation, 6'),
    ],
)
def test_what_is_refused(root: Path, change: Change, message: str) -> None:
    change(root)
    with pytest.raises(ValueError, match=message):
        detect(str(root))


def test_too_large_for_pillow(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_files, 'PILLOW_PIXELS', 95)
    with pytest.raises(ValueError, match='at most 95 pixels.* got 8x12: cut'):
        detect(str(root))


def turn_label_maps(root: Path) -> None:
    orient(6, root)
    relabel(np.rot90)(root)


@pytest.mark.parametrize(
    'change, note',
    [
        (lambda root: orient(1, root), ''),
        (turn_label_maps, ''),
        (deepen(256), 'more than 8 bits per value: 4, such as'),
        (add_a_channel, 'four channels: 1, such as '),
    ],
)
def test_what_is_accepted(root: Path, change: Change, note: str) -> None:
    change(root)
    assert note in ' '.join(detect(str(root)).notes)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_every_label_map_is_looked_at(tmp_path: Path, split: str) -> None:
    """In several processes, of which none looks at a sample."""
    pairs(tmp_path, 'images/{}/{:03}.png', 'masks/{}/{:03}.png', 2)
    for i in range(2, 402):
        for kind in ('images', 'masks'):
            folder = tmp_path / kind / split
            os.link(folder / '000.png', folder / f'{i:03}.png')
    (tmp_path / f'masks/{split}/201.png').unlink()
    write(tmp_path / f'masks/{split}/201.png', LABEL + 1)
    found = detect(str(tmp_path))
    assert len(found.facts['classes']) == 3
    assert ('Of label 2, pixels are in val only' in str(found.notes)) == (
        split == 'val'
    )


@pytest.mark.parametrize(
    'encoding', ['utf-8', 'utf-8-sig', 'latin-1', 'utf-16']
)
def test_names_of_classes(root: Path, encoding: str) -> None:
    (root / 'classes.txt').write_bytes('Straße\r\nHöhe\r\n'.encode(encoding))
    assert detect(str(root)).facts['classes'] == ['Straße', 'Höhe']


def test_named_gaps_are_meant(root: Path) -> None:
    relabel(lambda label: label * 9)(root)
    with pytest.raises(ValueError, match='name them all in a classes.txt'):
        detect(str(root))
    (root / 'classes.txt').write_text('\n'.join('abcdefghij'))
    assert len(detect(str(root)).facts['classes']) == 10
