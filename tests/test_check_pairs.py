"""Images and labels, compared as the pipeline of a config loads them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from PIL import Image

from hrnas_mm.check_pairs import check_pairs
from hrnas_mm.image_headers import header_of
from hrnas_mm.resume.rng import rng_state

LABEL = np.zeros((8, 12), np.uint8)
LABEL[:4] = 1


@DATASETS.register_module()
class FourPairs(BaseDataset):
    METAINFO = dict(classes=('ground', 'sky'))

    def load_data_list(self) -> list[dict[str, Any]]:
        return [
            dict(
                img_path=str(path),
                seg_map_path=str(
                    path.parent.parent / f'labels/{path.stem}.png'
                ),
                height=8,
                width=12,
            )
            for path in sorted(Path(self.data_root).glob('images/*'))
        ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ('images', 'labels'):
        (tmp_path / name).mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        image = rng.integers(0, 256, (8, 12, 3)).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / f'images/{i}.png')
        Image.fromarray(LABEL).save(tmp_path / f'labels/{i}.png')
    return tmp_path


def config(root: Path) -> Config:
    dataset = dict(
        type='FourPairs',
        data_root=str(root),
        serialize_data=False,  # faster
        pipeline=[
            dict(type='mmcv.LoadImageFromFile'),
            dict(type='mmcv.Resize', scale=(24, 16)),
            dict(
                type='mmcv.LoadAnnotations',
                with_bbox=False,
                with_label=False,
                with_seg=True,
                imdecode_backend='pillow',
            ),
        ],
    )
    repeated = dict(type='RepeatDataset', dataset=dataset, times=2)
    model = dict(head=dict(ignore_index=7))
    return Config(dict(model=model, train_dataloader=dict(dataset=repeated)))


def relabel(value: int) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        Image.fromarray(LABEL * value).save(root / 'labels/3.png')

    return change


def orient(value: int, side: int = 12) -> Callable[[Path], None]:
    """The second of the images, in a file that Pillow reads without a turn."""

    def change(root: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = value
        with Image.open(root / 'images/1.png') as image:
            turned = image.crop((0, 0, side, 8))
        turned.save(root / 'images/1.jpg', exif=exif, quality=95)
        (root / 'images/1.png').unlink()
        Image.fromarray(LABEL[:, :side]).save(root / 'labels/1.png')

    return change


def turn_labels(root: Path) -> None:
    orient(6)(root)
    Image.fromarray(LABEL.T).save(root / 'labels/1.png')


def shrink_labels(root: Path) -> None:
    Image.fromarray(LABEL[::2, ::2]).save(root / 'labels/0.png')


def enlarge(root: Path) -> None:
    Image.new('RGB', (24, 16), (200, 0, 0)).save(root / 'images/0.png')


def deepen(factor: int) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for path in root.glob('images/*'):
            image = cv2.imread(str(path)).astype(np.uint16)
            assert cv2.imwrite(str(path), image * factor)

    return change


def cut_off(root: Path) -> None:
    path = root / 'labels/0.png'
    path.write_bytes(path.read_bytes()[:45])


@pytest.mark.parametrize(
    'change, message',
    [
        (relabel(5), r'3.png, whose labels must be below the 2 cl.* got 5'),
        (orient(6), '1.jpg is turned by its EXIF orientation, 6'),
        (orient(3), '1.jpg is turned by its EXIF orientation, 3'),
        (orient(6, side=8), '1.jpg is turned by its EXIF orientation, 6'),
        (shrink_labels, r'size of its image, \(8, 12\), got \(4, 6\)'),
        (enlarge, r'height and width, \(16, 24\), got \(8, 12\)'),
        (deepen(16), 'almost black as it is loaded, below 64'),
        (cut_off, 'can be loaded, but .*0.png gives'),
    ],
)
def test_what_does_not_fit(
    root: Path, change: Callable[[Path], None], message: str
) -> None:
    change(root)
    with pytest.raises(ValueError, match=message) as raised:
        check_pairs(config(root), 'train_dataloader')
    if 'EXIF' not in message:
        assert str(raised.value).startswith('train_dataloader.dataset')


@pytest.mark.parametrize(
    'change',
    [lambda root: None, relabel(7), orient(1), turn_labels, deepen(256)],
)
def test_what_fits(root: Path, change: Callable[[Path], None]) -> None:
    """Random generators go on as if nothing had been loaded."""
    change(root)
    before = rng_state()
    check_pairs(config(root), 'train_dataloader')
    after = rng_state()
    assert torch.equal(before.pop('torch'), after.pop('torch'))
    assert before == after


@pytest.mark.parametrize('serialize', [True, False])
def test_no_samples(root: Path, serialize: bool) -> None:
    """Which mmengine fails to put into one array."""
    for path in root.glob('images/*'):
        path.unlink()
    cfg = config(root)
    cfg.train_dataloader.dataset.dataset.serialize_data = serialize
    with pytest.raises(ValueError, match='must have samples, got none'):
        check_pairs(cfg, 'train_dataloader')


@pytest.mark.parametrize('content', [b'', b'<html>'])
def test_files_that_are_no_images(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'a.jpg'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='a.jpg must be an image, got a file'):
        header_of(str(path))


def test_transforms_that_need_others_are_left_alone(root: Path) -> None:
    """Boxes are loaded of what a transform of the user's has found."""
    shrink_labels(root)
    cfg = config(root)
    cfg.train_dataloader.dataset.dataset.pipeline[2].with_bbox = True
    check_pairs(cfg, 'train_dataloader')
