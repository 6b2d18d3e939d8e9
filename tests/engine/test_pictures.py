"""Pictures of a run: of what it sees anyhow, and without consequences."""

import random
import shutil
from pathlib import Path
from typing import Any

import killing  # noqa: F401  (registers Stop)
import mmcv
import numpy as np
import pytest
import tiny
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import ImgDataPreprocessor
from mmengine.registry import DATASETS, METRICS, MODELS, VISUALIZERS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement, PixelData
from mmengine.visualization import Visualizer
from torch import Tensor

MEAN, STD = [10.0, 20.0, 30.0], [2.0, 4.0, 5.0]
SHOWN = ('ground_truth', 'prediction')


@DATASETS.register_module()
class Photos(tiny.TinyData):
    """With whole numbers as pixels, and a file that tells where it is."""

    def prepare_data(self, index: int) -> dict[str, Any]:
        sample = super().prepare_data(index)
        pixels = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
        truth = PixelData(data=sample['labels'][None])
        element = BaseDataElement(
            metainfo=dict(img_path=f'{index}.png'), gt_sem_seg=truth
        )
        return dict(inputs=pixels, data_samples=element)


@MODELS.register_module()
class ModelOfPhotos(tiny.TinyModel):
    def forward(
        self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor'
    ) -> Any:
        labels = [sample.gt_sem_seg.data[0] for sample in data_samples or []]
        found = super().forward(inputs, labels and torch.stack(labels), mode)
        if mode != 'predict':
            return found
        for sample, (predicted, _) in zip(data_samples, found):
            sample.pred_sem_seg = PixelData(data=predicted[None])
        return data_samples


class AllRight(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(1.0)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return dict(accuracy=sum(results) / len(results))


class Painter(Visualizer):
    """Draws, and uses all random generators while it does."""

    seen: list[dict[str, Any]] = []
    fails = False

    def add_datasample(
        self, name: str, image: Any, out_file: Any, **options: Any
    ) -> None:
        random.random()
        np.random.rand()
        torch.rand(1)
        if self.fails:
            self.seen.append({})
            raise RuntimeError('no paint')
        self.seen.append(dict(options, image=image, alpha=self.alpha))
        mmcv.imwrite(image, out_file)


METRICS.register_module(module=AllRight)
VISUALIZERS.register_module(module=Painter)


def config(work_dir: Path, **options: Any) -> Config:
    cfg = tiny.config(work_dir, **options)
    cfg.model.update(
        type='ModelOfPhotos',
        data_preprocessor=dict(
            type=ImgDataPreprocessor, mean=MEAN, std=STD, bgr_to_rgb=True
        ),
    )
    for split in ('train', 'val'):
        loader = cfg[f'{split}_dataloader']
        loader.dataset.type = 'Photos'
        loader.collate_fn = dict(type='pseudo_collate')
    cfg.val_evaluator = dict(type='AllRight')
    cfg.visualizer = dict(type='Painter')
    return cfg


@pytest.fixture(autouse=True)
def _photos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Painter, 'seen', [])
    monkeypatch.setattr(Painter, 'alpha', 0.8, raising=False)
    monkeypatch.chdir(tmp_path)
    for i in range(24):
        mmcv.imwrite(np.full((64, 64, 3), i, np.uint8), f'{i}.png')


def train(cfg: Config) -> dict[str, Tensor]:
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner.model.state_dict()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob('*'))


def test_pictures_change_nothing_and_say_what_they_show(
    tmp_path: Path,
) -> None:
    with_pictures = train(config(tmp_path / 'a', max_iters=8))
    cfg = config(tmp_path / 'b', max_iters=8)
    cfg.visualizer = dict(type='Visualizer')  # draws nothing
    without = train(cfg)
    torch.testing.assert_close(with_pictures, without, rtol=0, atol=0)
    assert names(tmp_path / 'a/predictions') == [
        f'{i}_{shows}.jpg' for i in range(4) for shows in SHOWN
    ]
    batch, predictions = Painter.seen[:4], Painter.seen[-8:]
    # Every sixth of 24 images, at half the strength of its label map.
    assert [p['image'][0, 0, 0] for p in predictions] == [
        i for i in (0, 6, 12, 18) for _ in SHOWN
    ]
    assert [p['draw_gt'] for p in predictions] == [True, False] * 4
    assert all(p['alpha'] == 0.5 for p in Painter.seen)
    assert Painter.alpha == 0.8
    # As loaded, but RGB: normalised by the data_preprocessor and back again.
    pixels = np.stack([p['image'] for p in batch])
    assert pixels.shape == (4, 32, 32, 3) and pixels.dtype == np.uint8
    normalised = np.arange(256, dtype=np.float32)
    for i, (mean, std) in enumerate(zip(MEAN, STD)):
        back = (normalised - mean) / std * std + mean
        assert np.abs(pixels[..., i].mean() - back.mean()) < 3


def test_the_training_batch_has_the_colours_that_were_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colour = torch.tensor([200, 100, 50], dtype=torch.uint8)  # BGR
    whole = Photos.prepare_data

    def blue(self: Photos, index: int) -> dict[str, Any]:
        sample = whole(self, index)
        sample['inputs'] = colour[:, None, None].expand(3, 32, 32).clone()
        return sample

    monkeypatch.setattr(Photos, 'prepare_data', blue)
    train(config(tmp_path / 'a', max_iters=2))
    image = Painter.seen[0]['image'].astype(int)
    assert np.abs(image - [50, 100, 200]).max() <= 1


def test_a_resumed_run_keeps_the_batch_that_it_began_with(
    tmp_path: Path,
) -> None:
    """A new run with pictures of another does not; files of users stay."""
    cfg = config(tmp_path / 'a', max_iters=8)
    cfg.custom_hooks.append(dict(type='Stop', at=7))
    with pytest.raises(KeyboardInterrupt):
        train(cfg)
    first = tmp_path / 'a/training_batch/0_ground_truth.jpg'
    before = first.read_bytes()
    cfg = config(tmp_path / 'a', max_iters=8)
    cfg.resume, cfg.experiment_name = True, cfg.experiment_name + '-again'
    train(cfg)
    assert first.read_bytes() == before
    for folder in ('training_batch', 'predictions'):
        shutil.copytree(tmp_path / 'a' / folder, tmp_path / 'b' / folder)
        (tmp_path / 'b' / folder / 'mine.jpg').touch()
    cfg = config(tmp_path / 'b', max_iters=2)
    cfg.randomness.seed = 4
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    train(cfg)
    second = tmp_path / 'b/training_batch/0_ground_truth.jpg'
    assert second.read_bytes() != before
    assert names(tmp_path / 'b/predictions') == ['mine.jpg']
    assert (tmp_path / 'b/training_batch/mine.jpg').exists()


def test_a_painter_that_fails_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Painter, 'fails', True)
    cfg = config(tmp_path / 'a', max_iters=6)
    cfg.log_level = 'INFO'
    train(cfg)
    assert Painter.seen == [{}]
    log = next((tmp_path / 'a').rglob('*.log')).read_text()
    assert 'no pictures of training_batch: RuntimeError: no paint' in log
