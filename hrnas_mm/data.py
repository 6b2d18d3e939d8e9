"""The data that a config needs: where it is, and where it comes from."""

import os.path as osp

import torch
from mmengine.config import Config
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.registry import DATASETS
from torch import Tensor, nn

from .compat_mmdet3d import mend_mmdet3d_
from .nested import nested_dicts

SITES = dict(
    CityscapesDataset=(
        'cityscapes',
        'Cityscapes is at https://www.cityscapes-dataset.com; then run '
        "mmseg's tools/dataset_converters/cityscapes.py. ",
    ),
    ADE20KDataset=(
        'ade20k',
        'ADE20K is at http://data.csail.mit.edu/places/ADEchallenge/'
        'ADEChallengeData2016.zip. ',
    ),
    CocoDataset=(
        'coco',
        'COCO is at https://cocodataset.org, the detector boxes are linked '
        "from mmpose's page of COCO. ",
    ),
    KittiDataset=(
        'kitti',
        'KITTI is at https://www.cvlibs.net/datasets/kitti; then run '
        "mmdet3d's tools/create_data.py kitti. ",
    ),
    ImageNet=(
        'imagenet',
        'ImageNet is at https://www.image-net.org/challenges/LSVRC/2012. ',
    ),
)


def data_root_of(cfg: Config) -> str | None:
    """The config's ``data_root``, else that of its training data."""
    nodes = [cfg, *nested_dicts(cfg.get('train_dataloader') or {})]
    return next(filter(None, (n.get('data_root') for n in nodes)), None)


def move_data_(cfg: Config, old: str, new: str) -> None:
    """Replace the folder ``old`` by ``new`` in all paths under it."""
    folder = old.rstrip('/')
    for node in nested_dicts(cfg._cfg_dict):
        for key, value in node.items():
            if isinstance(value, str) and (value + '/').startswith(
                folder + '/'
            ):
                node[key] = new.rstrip('/') + value[len(folder) :]


def check_data(cfg: Config, *loaders: str) -> None:
    """Stop with a hint if a data set's folder is missing.

    Args:
        cfg: Its ``data_help`` tells where the data comes from; else it is
            known of the benchmarks' data sets.
        loaders: Names of data loaders in the config; None there is skipped.

    Raises:
        FileNotFoundError: Names the folder or the annotation file, and how
            to get it.
    """
    for loader in loaders:
        for node in nested_dicts(cfg.get(loader) or {}):
            folder = node.get('data_root')
            if not folder:
                continue
            for key, path in (
                ('data_root', folder),
                ('ann_file', osp.join(folder, node.get('ann_file') or '')),
            ):
                if not osp.exists(path):
                    raise FileNotFoundError(
                        f'{loader}.dataset.{key} {path!r} does not exist. '
                        f'{_help(cfg, node)} Give another folder with '
                        '--cfg-options data_root=...'
                    )


def _help(cfg: Config, dataset: dict) -> str:
    if 'data_help' in cfg:
        return cfg.data_help
    # A scope may stand before the name.
    layout, site = SITES.get(dataset.get('type', '').split('.')[-1], ('', ''))
    if not layout:
        return ''
    return (
        f'{site}To only try it: python tools/make_demo_data.py {layout} '
        f'{dataset["data_root"]}.'
    )


@torch.no_grad()
def first_input(cfg: Config, model: nn.Module) -> Tensor:
    """What a model's backbone gets of the first test sample.

    Args:
        cfg: Has the ``test_dataloader``.
        model: Of the config.

    Returns:
        (B, C, H, W), an image or a pseudo-image.

    Raises:
        FileNotFoundError: If the data is not there.
    """
    if not cfg.get('test_dataloader'):
        raise FileNotFoundError('the config has no test_dataloader')
    check_data(cfg, 'test_dataloader')
    if cfg.get('default_scope') == 'mmdet3d':
        mend_mmdet3d_()
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    is_mmpretrain = cfg.get('default_scope') == 'mmpretrain'
    collate = default_collate if is_mmpretrain else pseudo_collate
    handle = model.backbone.register_forward_pre_hook(_stop)
    try:
        model.eval().test_step(collate([dataset[0]]))
    except _Stopped as stopped:
        return stopped.image
    finally:
        handle.remove()
    raise FileNotFoundError('the first test sample did not reach the backbone')


class _Stopped(Exception):
    """What comes after the backbone's input does not matter."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.image = image


def _stop(module: nn.Module, args: tuple[Tensor, ...]) -> None:
    raise _Stopped(args[0])
