"""A search on one's own data that begins with a stock network."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import own_data
import pytest
import torch
from command_line import call, checked
from mmengine.config import Config
from mmengine.registry import init_default_scope
from starter import config_for, detect, network_of, try_out
from starter.stock_module import SCOPES
from starter.writing import Draft

from hrnas_mm.building import build_model
from hrnas_mm.registry import MODELS

ROOT = Path(__file__).parents[2]
RESNET = dict(type='ResNet', depth=18, base_channels=8, stem_channels=8)
SMALL = dict(
    label_maps=('mmpretrain', RESNET),
    class_folders=('mmseg', {**RESNET, 'type': 'ResNetV1c'}),
    keypoints=('mmpose', RESNET),
    boxes=('mmdet', dict(type='CSPNeXt', widen_factor=0.125)),
    lidar_boxes=(
        'mmdet3d',
        dict(
            type='SECOND',
            in_channels=16,
            out_channels=[8, 8, 16],
            layer_nums=[1, 1, 1],
            layer_strides=[2, 2, 2],
        ),
    ),
)
MAPS = dict(
    label_maps=([8, 16, 32, 64], [4, 8, 16, 32]),
    class_folders=([64], [32]),
    keypoints=([64], [32]),
    boxes=([32, 64, 128], [8, 16, 32]),
    lidar_boxes=([8, 8, 16], [2, 4, 8]),
)


def stock(folder: Path, scope: str, **model: Any) -> str:
    """Write the config of a small stock network."""
    path = folder / 'stock.py'
    Config(dict(default_scope=scope, model=model)).dump(str(path))
    return str(path)


@pytest.mark.parametrize('task', own_data.grouped(SMALL))
def test_a_config_for_each_task(tmp_path: Path, task: str) -> None:
    scope, backbone = SMALL[task]
    for framework in {scope, SCOPES[task]}:
        pytest.importorskip(f'{framework}.apis')
    getattr(own_data, task)(tmp_path / 'data')
    pixels = dict(type='ImgDataPreprocessor', mean=[1.0] * 3, std=[2.0] * 3)
    path = stock(tmp_path, scope, backbone=backbone, data_preprocessor=pixels)
    network = network_of(path, task)
    assert (network.channels, network.strides) == MAPS[task]
    assert network.pixels == dict(
        mean=[1.0] * 3, std=[2.0] * 3, bgr_to_rgb=False
    )

    def draft_at(out: str) -> Draft:
        draft = config_for(
            detect(str(tmp_path / 'data')),
            str(tmp_path / 'data'),
            out,
            target=0.9,
            network=network,
            size=(64, 64),
            batch_size=2,
        )
        return draft._replace(text=own_data.smaller(draft.text))

    note, length = try_out(draft_at)
    assert note.startswith('The whole network has ')
    assert length.startswith('About ')


def test_from_weights_to_a_searched_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip('mmseg.apis')
    pytest.importorskip('mmpretrain.models')
    own_data.label_maps(tmp_path / 'data')
    stock(tmp_path, 'mmpretrain', backbone=RESNET)
    init_default_scope('mmpretrain')
    weights = MODELS.build(dict(RESNET)).state_dict()
    weights = {f'backbone.{name}': value for name, value in weights.items()}
    torch.save(dict(state_dict=weights), tmp_path / 'weights.pth')
    new = partial(checked, ROOT / 'tools/new_search.py', cwd=tmp_path)
    printed = new(
        'data', 'mine.py', '--network', 'stock.py', '--weights', 'weights.pth',
        '--iterations', 6, '--batch-size', 4, '--size', 64, 64,
        '--target', 0.7,
    )  # fmt: skip
    n = len(weights)
    assert f'weights.pth has {n} of the {n} tensors of ResNet' in printed
    cfg = Config.fromfile(tmp_path / 'mine.py')
    module = cfg.model.backbone.module
    assert module.type == 'mmpretrain.ResNet'
    assert module.init_cfg == dict(
        type='Pretrained', checkpoint='weights.pth', prefix='backbone.'
    )
    monkeypatch.chdir(tmp_path)
    model: Any = build_model(cfg)
    model.init_weights()
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, weights[f'backbone.{name}'])
    checked(
        ROOT / 'tools/train.py', 'mine.py', '--cfg-options',
        *own_data.NO_WORKERS,
        cwd=tmp_path,
    )  # fmt: skip
    folder = tmp_path / 'work_dirs/mine/searched'
    found = torch.load(folder / 'model.pth', weights_only=True)
    whole = Config.fromfile(folder / 'config.py')
    assert whole.model.backbone.type == 'Searchable'
    assert whole.model.backbone.arch
    costs = found['architecture']['costs']
    record = json.loads((folder.parent / 'search.json').read_text())
    assert costs['macs'] <= 0.7 * record['costs']['macs']


@pytest.mark.parametrize(
    'scope, backbone, task, message',
    [
        ('mmseg', dict(type='HRNASSupernet'), 'label_maps', 'a supernet'),
        ('mmseg', dict(type='DDRNet'), 'label_maps', 'a tuple of maps'),
        ('mmseg', {**RESNET, 'strides': (1, 1, 1, 1), 'type': 'ResNetV1c'},
         'boxes', 'strides 8, 16 and 32'),
        ('mmseg', None, 'label_maps', 'must be a config with model.backbone'),
        ('mmseg', dict(type='NoNet'), 'label_maps', 'NoNet is not in the'),
        ('mmdet', dict(type='CSPNeXt'), 'lidar_boxes', "'in_channels'"),
    ],
)  # fmt: skip
def test_networks_that_do_not_suit(
    tmp_path: Path,
    scope: str,
    backbone: dict[str, Any] | None,
    task: str,
    message: str,
) -> None:
    pytest.importorskip('mmseg.models')
    pytest.importorskip('mmdet.models')
    path = stock(tmp_path, scope, backbone=backbone)
    with pytest.raises(ValueError, match=f'^--network .*{message}'):
        network_of(path, task)


def test_the_last_output_at_each_stride(tmp_path: Path) -> None:
    pytest.importorskip('mmpretrain.models')
    backbone = dict(type='MobileNetV3', arch='large')
    path = stock(
        tmp_path,
        'mmpretrain',
        backbone=backbone,
        data_preprocessor=dict(type='ClsDataPreprocessor'),
    )
    network = network_of(path, 'label_maps')
    assert network.module['out_indices'] == (3, 6, 12, 16)
    assert network.strides == [4, 8, 16, 32]
    # Without a mean, pixels are taken as they are read.
    assert network.pixels['mean'] == [0.0] * 3
    with pytest.raises(ValueError, match='--size must be multiples of 32'):
        network.check_size('keypoints', (64, 72))


def test_weights_of_a_parallel_wrapper(tmp_path: Path) -> None:
    pytest.importorskip('mmpretrain.models')
    path = stock(tmp_path, 'mmpretrain', backbone=RESNET)
    init_default_scope('mmpretrain')
    weights = MODELS.build(dict(RESNET)).state_dict()
    file = str(tmp_path / 'weights.pth')
    parallel = {f'module.backbone.{n}': v for n, v in weights.items()}
    torch.save(dict(state_dict=parallel), file)
    module = network_of(path, 'class_folders', file).module
    model = MODELS.build(dict(type='Searchable', module=module))
    model.init_weights()
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name])


def test_weights_of_another_network(tmp_path: Path) -> None:
    pytest.importorskip('mmpretrain.models')
    path = stock(tmp_path, 'mmpretrain', backbone=RESNET)
    torch.save(dict(a=torch.zeros(1)), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='--weights .* has 0 of the 120'):
        network_of(path, 'class_folders', str(tmp_path / 'other.pth'))
    with pytest.raises(ValueError, match='--weights must be a file'):
        network_of(path, 'class_folders', 'missing.pth')
    result = call(
        ROOT / 'tools/new_search.py', 'data', 'a.py', '--weights', 'x.pth',
        cwd=tmp_path,
    )  # fmt: skip
    assert result.code == 2 and '--weights needs --network' in result.err
