"""Searched networks of all four kinds of model, in torch and in ONNX."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from counting import random_keep
from mmengine.model import ImgDataPreprocessor
from tiny import with_statistics
from torch import Tensor, nn

import hrnas_mm
from hrnas_mm.building import build_model, first_input
from hrnas_mm.cli.config import prepare_config
from hrnas_mm.compat_mmdet3d import mend_mmdet3d_
from hrnas_mm.deploy import DeployableModel, check_onnx, export_onnx
from hrnas_mm.deploy.metadata import metadata_of, normalisation_of
from hrnas_mm.search import count_params, named_search_units, shrink_

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')
CONFIGS = Path(__file__).parents[2] / 'configs'
# Of one kind an input size that the strides divide, of others one that they
# do not.
MODELS = dict(
    segmentation=(
        'mmseg/hrnas_demo_1xb8-300_cityscapes-128x256.py',
        (3, 64, 96),
        ['output'],
    ),
    pose=(
        'mmpose/td-hm_hrnas-demo_1xb16-8e_coco-192x144.py',
        (3, 90, 70),
        ['output'],
    ),
    classification=(
        'mmpretrain/hrnas-demo_1xb16-18e_in1k-64x64.py',
        (3, 50, 70),
        ['output'],
    ),
    pointpillars=(
        'mmdet3d/pointpillars_hrnas-demo_1xb2-12e_kitti-3d-3class.py',
        (64, 30, 44),
        ['cls_scores', 'bbox_preds', 'dir_cls_preds'],
    ),
)


def searched(kind: str, **options: Any) -> nn.Module:
    """A network as a search leaves it: paths and whole blocks are gone."""
    config, *_ = MODELS[kind]
    smaller = tiny.two_branches(config)
    pytest.importorskip(config.split('/')[0])
    if kind == 'pointpillars':
        mend_mmdet3d_()
    cfg = prepare_config(str(CONFIGS / config), {**smaller, **options})
    model = build_model(cfg)
    keep = random_keep(model, share_empty=0.3)
    empty = next(name for name in keep if '.branches.' in name)
    for name in keep:
        if name.rsplit('.', 2)[0] == empty.rsplit('.', 2)[0]:
            keep[name] = keep[name][:0]
    shrink_(model, keep)
    return with_statistics(model)


@pytest.mark.parametrize('kind', MODELS)
def test_export(kind: str, tmp_path: Path) -> None:
    model = searched(kind)
    _, shape, names = MODELS[kind]
    path = str(tmp_path / 'model.onnx')
    export_onnx(model, shape, path, dynamic_batch=True)
    for batch_size in (1, 3):
        images = torch.randn(batch_size, *shape)
        assert check_onnx(path, model, images) < 1e-4
    graph = onnx.load(path).graph
    assert [output.name for output in graph.output] == names
    assert not any(n.op_type == 'BatchNormalization' for n in graph.node)
    deployable = DeployableModel(model)
    # The file is for any number of images, whatever it was traced with.
    traced = torch.jit.trace(deployable, images[:1], check_trace=False)
    torch.testing.assert_close(traced(images), deployable(images))
    program = torch.export.export(deployable, (images,))
    torch.testing.assert_close(program.module()(images), deployable(images))
    check_against_the_frameworks_parts(model.double().eval(), images.double())


def check_against_the_frameworks_parts(model: Any, images: Tensor) -> None:
    feats = model.backbone(images)
    if getattr(model, 'neck', None) is not None:
        feats = model.neck(feats)
    heads = ('decode_head', 'bbox_head', 'head')
    head = next(getattr(model, h) for h in heads if hasattr(model, h))
    expected = head(feats)
    if isinstance(expected, torch.Tensor):
        expected = [[expected]]
    torch.testing.assert_close(
        list(DeployableModel(model)(images)), [x for (x,) in expected]
    )


@pytest.fixture(scope='module')
def exported(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[nn.Module, Path]:
    """A network and its file."""
    # Without Transformers, most of whose parameters no token owns.
    model = searched('pose', **{'model.backbone.num_tokens': 0})
    path = tmp_path_factory.mktemp('onnx') / 'model.onnx'
    # In a form that is the same whatever the numbers of channels.
    export_onnx(model, (3, 64, 48), str(path), fuse='never', round=1)
    return model, path


def test_file_is_as_small_as_its_parameters(
    exported: tuple[nn.Module, Path], tmp_path: Path
) -> None:
    model, path = exported
    smaller = deepcopy(model)
    half = {
        name: torch.arange((len(unit) + 1) // 2)
        for name, unit in named_search_units(smaller).items()
    }
    shrink_(smaller, half)
    other_path = tmp_path / 'smaller.onnx'
    export_onnx(smaller, (3, 64, 48), str(other_path), fuse='never', round=1)
    params, other_params = (
        count_params(DeployableModel(network, fuse='never', round=1))
        for network in (model, smaller)
    )
    assert other_params < 0.7 * params
    # What is left over is the graph, which is the same in both.
    graph, other_graph = (
        file.stat().st_size - 4 * count
        for file, count in ((path, params), (other_path, other_params))
    )
    assert 0.9 * graph < other_graph <= graph


def test_batch_of_one_where_no_other_is_asked_for(
    exported: tuple[nn.Module, Path],
) -> None:
    model, path = exported
    images = torch.randn(2, 3, 64, 48)
    assert check_onnx(str(path), model, images[:1]) < 1e-4
    with pytest.raises(Exception, match='invalid dimensions'):
        check_onnx(str(path), model, images)


def test_real_input_is_collated_as_the_config_says(tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path)
    assert cfg.test_dataloader.collate_fn.type == 'default_collate'
    image = first_input(cfg, build_model(cfg))
    assert image.shape == (1, 3, 32, 32)


def test_a_file_that_differs_is_an_error(
    exported: tuple[nn.Module, Path],
) -> None:
    model, path = exported
    other: Any = deepcopy(model)
    other.head.final_layer.bias.data *= 1.01
    other.head.final_layer.bias.data += 0.1
    with pytest.raises(ValueError, match='differs from torch by 0.0'):
        check_onnx(str(path), other, torch.randn(1, 3, 64, 48))


class Heads(torch.nn.Module):
    """Two outputs, and one that this head does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (
            torch.nn.Conv2d(3, 2, 1),
            torch.nn.Conv2d(3, 1, 1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, None, Tensor]:
        return self.first(x), None, self.second(x)


def test_outputs_of_several_heads_are_compared(tmp_path: Path) -> None:
    model, path = Heads(), str(tmp_path / 'model.onnx')
    export_onnx(model, (3, 8, 8), path)
    image = torch.randn(1, 3, 8, 8)
    assert check_onnx(path, model, image) < 1e-5
    other = deepcopy(model)
    other.second = torch.nn.Conv2d(3, 1, 1, stride=2)
    with pytest.raises(ValueError, match=r'torch has .*\(1, 1, 4, 4\)\]'):
        check_onnx(path, other, image)
    model.second.weight.data.fill_(torch.nan)
    with pytest.raises(ValueError, match='differs from torch by nan'):
        check_onnx(path, model, image)
    with torch.no_grad():
        for param in model.parameters():
            param.zero_()
    export_onnx(model, (3, 8, 8), path)
    assert check_onnx(path, model, image) == 0


@pytest.mark.parametrize(
    ('options', 'mean', 'std', 'order'),
    [
        (
            dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                 bgr_to_rgb=True),
            [123.675, 116.28, 103.53], [58.395, 57.12, 57.375], 'rgb',
        ),
        ({}, [0, 0, 0], [1, 1, 1], 'bgr'),
    ],
)  # fmt: skip
def test_a_file_says_how_its_input_is_made(
    tmp_path: Path, options: Any, mean: Any, std: Any, order: str
) -> None:
    model, path = Heads(), str(tmp_path / 'model.onnx')
    model.data_preprocessor = ImgDataPreprocessor(**options)
    meta = dict(classes=('road', 'a, b'), keypoint_id2name={1: 'b', 0: 'a'})
    export_onnx(model, (3, 8, 8), path, dataset_meta=meta)
    session = onnxruntime.InferenceSession(path)
    found = dict(session.get_modelmeta().custom_metadata_map)
    assert found.pop('hrnas_mm_version') == hrnas_mm.__version__
    assert found.pop('channel_order') == order
    assert {name: json.loads(text) for name, text in found.items()} == dict(
        mean=mean, std=std, classes=['road', 'a, b'], keypoints=['a', 'b']
    )


def test_a_data_preprocessor_beside_the_model_counts() -> None:
    """That is where the configs of mmpretrain have it."""
    config, *_ = MODELS['classification']
    pytest.importorskip('mmpretrain')
    model = build_model(prepare_config(str(CONFIGS / config)))
    mean, std, rgb = normalisation_of(model)
    assert mean == [123.675, 116.28, 103.53] and rgb
    assert std == [58.395, 57.12, 57.375]


def test_a_pseudo_image_has_no_mean() -> None:
    model = torch.nn.Identity()
    assert set(metadata_of(model, 64, {})) == {'hrnas_mm_version'}


@pytest.mark.parametrize('opset', [11, 99])
def test_an_opset_that_cannot_be_written(opset: int, tmp_path: Path) -> None:
    path = tmp_path / 'model.onnx'
    with pytest.raises(ValueError, match=f'18 to 23, got {opset}'):
        export_onnx(torch.nn.Identity(), (3, 8, 8), str(path), opset=opset)
    assert not path.exists()
