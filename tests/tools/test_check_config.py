"""Errors in a config, and in the data, are told before a run begins."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement, PixelData
from torch import nn
from torch.utils.data import DataLoader
from training.check_config import check_config

from hrnas_mm.check_files import check_data
from hrnas_mm.cli.config import prepare_config
from hrnas_mm.deploy import input_shape_of
from hrnas_mm.engine.check_samples import check_fit

HOOK = 'custom_hooks.0'


def searching(tmp_path: Path, **options: Any) -> Config:
    cfg = tiny.config(tmp_path, rho=None, interval=None, target=0.5)
    cfg.merge_from_dict(options)
    return cfg


@pytest.mark.parametrize(
    'options, message',
    [
        ({f'{HOOK}.taget': 1}, r"hooks\[0\].*'taget'; did .* 'target'?"),
        ({f'{HOOK}.type': 'ProgressivShrinkHook'}, "did .* 'ProgressiveShri"),
        ({f'{HOOK}.target': '900G'}, 'target must be at least'),
        ({f'{HOOK}.threshold': 'x'}, 'threshold must be a number'),
        ({f'{HOOK}.milestones': [0.4]}, 'is below the target'),
        ({f'{HOOK}.end': 99}, 'at most 11 iterations'),
        (
            {f'{HOOK}.end': 9, f'{HOOK}.by_epoch': True,
             'train_cfg': dict(_delete_=True, by_epoch=True, max_epochs=5)},
            'begin=0 and at most 4 epochs, .* within the run of 5, got 9',
        ),
        (
            {'model.backbone.fuse_chanels': 6},
            "model.backbone, of .*'fuse_chanels'; did you mean 'fuse_channels",
        ),
        (
            {'model.backbone.transformer.heads': 2},
            "model.backbone.transformer.*'heads'; did you mean 'num_heads'?",
        ),
        ({'model.backbone.type': 'HRNASSupernett'}, "mean 'HRNASSupernet'?"),
        ({'model.backbone.out_indices': [9]}, '^out_indices must not|^out_in'),
        ({'model.backbone.type': 'Nothing'}, 'model.*cannot be .*Nothing'),
        ({'model': 'x'}, "model must be given as a dict, got 'x'"),
        ({'train_cfg': None}, 'train_cfg must be given as a dict, got None'),
        ({'train_dataloader': None}, 'train_dataloader must be given'),
        ({'log_level': None}, 'log_level must not be None: leave it out'),
        ({'randomness': None}, 'randomness must not be None: leave it out'),
        (
            {'val_cfg': None},
            'val_cfg must be given, as val_dataloader and val_evaluator are',
        ),
        (
            {'test_cfg': None, 'test_evaluator': None},
            'test_cfg and test_evaluator must .* test_dataloader is; or none',
        ),
    ],
)  # fmt: skip
def test_config(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    check_config(searching(tmp_path))
    with pytest.raises(ValueError, match=message) as caught:
        check_config(searching(tmp_path, **options))
    assert '\n' not in str(caught.value)


def test_part_of_a_framework_that_cannot_be_built() -> None:
    """mmseg asserts it, without a word."""
    path = 'configs/mmseg/hrnas_demo_1xb8-300_cityscapes-128x256.py'
    cfg = prepare_config(path, {'model.decode_head.channels': 64})
    with pytest.raises(
        ValueError,
        match='model.decode_head, of type FCNHead, cannot be built: '
        'AssertionError: assert self.in_channels == self.channels',
    ):
        check_config(cfg)


@pytest.mark.parametrize(
    'options, message',
    [
        (
            dict(data_prefix=dict(img_path='imags')),
            'train_dataloader.dataset.data_prefix.img_path .*imags. does not '
            'exist. Give another with --cfg-options train_dataloader.dataset.',
        ),
        (dict(data_prefix=dict(img_path='empty')), 'empty. is empty'),
        (dict(data_prefix='nowhere'), 'data_prefix .*nowhere. does not exist'),
        (dict(img_suffix='.png'), "ends in '.png', but 'a.jpg'. Give the suf"),
        (dict(type='mmseg.CityscapesDataset'), "in '_leftImg8bit.png', but"),
        (dict(seg_map_suffix='.bmp'), "data_prefix.seg_map_path .*'.bmp'"),
    ],
)
def test_folders_of_a_data_set(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    for name in ('images/a.jpg', 'labels/a.png', 'empty/'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).mkdir() if name[-1] == '/' else (
            tmp_path / name
        ).touch()
    dataset = dict(
        type='mmseg.BaseSegDataset',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
    )
    cfg = tiny.config(tmp_path)
    cfg.train_dataloader.dataset = dataset
    check_data(cfg, 'train_dataloader')
    cfg.train_dataloader.dataset = {**dataset, **options}
    with pytest.raises(FileNotFoundError, match=message):
        check_data(cfg, 'train_dataloader')


class Head(nn.Module):
    num_classes, ignore_index = 3, 255


class Data(list):
    metainfo: dict[str, Any] = dict(classes=('a', 'b', 'c'))


def fit(samples: Any, batch_size: int = 2) -> None:
    loader = DataLoader(samples, batch_size)
    model = tiny.TinyModel(dict(type='HRNASSupernet', **tiny.SUPERNET))
    model.decode_head = Head()
    check_fit(loader, model)


def sample(label: int, size: int = 32) -> dict[str, Any]:
    labels = torch.tensor([[[0, label, 255]]])
    return dict(
        inputs=torch.zeros(3, size, size),
        data_samples=BaseDataElement(gt_sem_seg=PixelData(data=labels)),
    )


def test_data_that_do_not_fit_the_model() -> None:
    fit(Data([sample(2), sample(2, 8)]), batch_size=1)
    with pytest.raises(ValueError, match='decode_head.num_classes is 3.* 5: '):
        fit(Data([sample(1), sample(5)]))
    with pytest.raises(ValueError, match='4, 4. pixels are too small for tra'):
        fit(Data([sample(1, 4)]), batch_size=1)
    with pytest.raises(ValueError, match='for the last batch of an epoch, wh'):
        fit(Data([sample(1, 4)] * 3))
    fit(Data([sample(1, 4)] * 4))
    with pytest.raises(ValueError, match='train_dataloader.dataset is empty'):
        fit(Data())
    more = Data([sample(1)])
    more.metainfo = dict(classes=tuple('abcd'))
    with pytest.raises(ValueError, match='is 3, but .* has 4 classes'):
        fit(more)


class SomeOfImageNet(Data):
    """Names more classes than it has labels of, as mmpretrain's ImageNet."""

    metainfo = dict(classes=tuple(map(str, range(1000))))
    labels = [0, 1, 2]

    def get_gt_labels(self) -> Any:
        return self.labels

    def get_data_info(self, index: int) -> dict[str, Any]:
        return dict(gt_label=self.labels[index])


def test_classes_that_occur_count_where_a_dataset_knows_them() -> None:
    data = SomeOfImageNet([sample(0), sample(1), sample(2)])
    fit(data)
    data.labels = [0, 1, 3]
    with pytest.raises(ValueError, match='is 3, but .* has 4 classes'):
        fit(data)


@pytest.mark.parametrize('shape', [(64,), (3, 0, 4), (1, 2, 3, 4)])
def test_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match='must be H W or C H W.*got'):
        input_shape_of(nn.Module(), shape)
