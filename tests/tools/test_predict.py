"""Predictions of images and videos, against the frameworks' own functions."""

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tiny
import torch
from command_line import call
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from PIL import Image
from predicting.predictor import Predictor
from predicting.sources import boxes_of, images_in
from predicting.writing import write_results

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import prepare_config
from hrnas_mm.deploy import export_onnx
from hrnas_mm.frameworks import framework_of

ROOT = Path(__file__).parents[2]
CONFIGS = dict(
    mmseg='mmseg/hrnas_demo_1xb8-300_cityscapes-128x256.py',
    mmpose='mmpose/td-hm_hrnas-demo_1xb16-8e_coco-192x144.py',
    mmdet='mmdet/fcos_hrnas-demo_1xb8-12e_coco-person-192x256.py',
    mmpretrain='mmpretrain/hrnas-demo_1xb16-18e_in1k-64x64.py',
)


def config(scope: str) -> Config:
    pytest.importorskip(scope)
    path, options = CONFIGS[scope], {}
    if scope == 'mmdet':  # else this network finds nothing
        options['model.test_cfg.score_thr'] = 0.0
    options |= tiny.two_branches(path)
    return prepare_config(str(ROOT / 'configs' / path), options)


def checkpoint(cfg: Config, path: Path) -> Any:
    """A model whose weights are in a file."""
    torch.manual_seed(0)
    model = build_model(cfg)
    model.eval()
    meta = dict(dataset_meta=dict(classes=[f'c{i}' for i in range(1000)]))
    meta = meta if framework_of(cfg).draws_together else {}
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return model


def picture(path: Path, width: int = 60, height: int = 44) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def by_the_framework(
    scope: str, model: Any, cfg: Config, path: str, boxes: Any = None
) -> Any:
    init_default_scope(scope)
    model.cfg = model._config = cfg
    if scope == 'mmseg':
        from mmseg.apis import inference_model

        return inference_model(model, path)
    if scope == 'mmdet':
        from mmdet.apis import inference_detector

        return inference_detector(model, path)
    if scope == 'mmpose':
        from mmpose.apis import inference_topdown
        from mmpose.datasets.datasets.utils import parse_pose_metainfo

        coco = dict(from_file='configs/_base_/datasets/coco.py')
        model.dataset_meta = parse_pose_metainfo(coco)
        samples = inference_topdown(model, path, boxes)
        return samples[0] if boxes is None else samples
    from mmpretrain.apis import ImageClassificationInferencer

    return ImageClassificationInferencer(model)(path)[0]


@pytest.mark.parametrize('scope', CONFIGS)
def test_predictions_are_the_frameworks_own(
    scope: str, tmp_path: Path
) -> None:
    cfg = config(scope)
    model = checkpoint(cfg, tmp_path / 'a.pth')
    path = picture(tmp_path / 'größe 1.png')
    (source,) = images_in(str(path)).images
    predictor = Predictor(cfg, str(tmp_path / 'a.pth'), 'cpu', None)
    loaded = predictor.load(source)
    sample = predictor.predict(loaded)
    overlay = predictor.overlay(source, loaded, sample)
    pixels = np.array(Image.open(path)).astype(float)
    write_results(str(tmp_path), source.name, sample, predictor.classes)
    theirs = by_the_framework(scope, model, cfg, str(path))
    stem = tmp_path / 'preds' / 'größe 1'
    if scope == 'mmseg':
        written = np.array(Image.open(f'{stem}.png'))
        assert (written == theirs.pred_sem_seg.data[0].numpy()).all()
        colours = np.array(predictor._meta['palette'])[written]
        assert abs(overlay - (pixels + colours) / 2).max() <= 1
        return
    assert (overlay[:44, :60] != pixels).any()
    written = json.loads(Path(f'{stem}.json').read_text())
    if scope == 'mmpretrain':
        assert written['pred_label'] == [theirs['pred_label']]
        assert written['classes'] == [f'c{theirs["pred_label"]}']
        np.testing.assert_allclose(
            written['pred_score'], theirs['pred_scores'], 1e-5
        )
        return
    for name, values in theirs.pred_instances.items():
        expected = getattr(values, 'tensor', values)
        np.testing.assert_allclose(written[name], expected, 1e-4, 1e-4)
        assert len(written[name]) > 0


def test_persons_in_boxes_of_a_detector(tmp_path: Path) -> None:
    cfg = config('mmpose')
    model = checkpoint(cfg, tmp_path / 'a.pth')
    path = picture(tmp_path / 'a.png')
    predictor = Predictor(cfg, str(tmp_path / 'a.pth'), 'cpu', None)
    (source,) = images_in(str(path)).images
    found: dict[str, Any] = dict(
        bboxes=[[5, 4, 30, 40], [0, 0, 9, 9], [20, 10, 50, 30]],
        scores=[0.9, 0.2, 0.3],
    )
    (tmp_path / 'a.json').write_text(json.dumps(found))
    boxes = boxes_of(str(tmp_path), source)
    assert boxes == [found['bboxes'][0], found['bboxes'][2]]
    loaded = predictor.load(source)
    sample: Any = predictor.predict(loaded, boxes)
    theirs = by_the_framework('mmpose', model, cfg, str(path), boxes)
    for ours, its in zip(sample.pred_instances, theirs, strict=True):
        np.testing.assert_allclose(
            ours.keypoints, its.pred_instances.keypoints, 1e-4, 1e-4
        )
    nobody = predictor.predict(loaded, [])
    assert (
        predictor.overlay(source, loaded, nobody) == np.array(Image.open(path))
    ).all()
    with pytest.raises(
        ValueError, match=r'--boxes must have boxes in .*b\.js'
    ):
        boxes_of(str(tmp_path), source._replace(name='b'))


@pytest.fixture(scope='module')
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config, its checkpoint and its ONNX file."""
    pytest.importorskip('onnxruntime')
    folder = tmp_path_factory.mktemp('exported')
    cfg = config('mmseg')
    cfg.model.backbone = dict(
        type='ResNetV1c', depth=18, base_channels=8, stem_channels=8
    )
    cfg.model.decode_head.update(in_channels=8, channels=8)
    resize = dict(type='Resize', scale=(64, 48))
    cfg.test_dataloader.dataset.pipeline.insert(1, resize)
    cfg.dump(str(folder / 'config.py'))
    model = checkpoint(cfg, folder / 'a.pth')
    export_onnx(model, (3, 48, 64), str(folder / 'a.onnx'))
    return folder


def predicted(folder: Path, file: str, given: Path, out: Path) -> Any:
    return call(
        ROOT / 'tools/predict.py', folder / 'config.py', folder / file, given,
        '--out', out,
    )  # fmt: skip


def test_folder_with_a_broken_file(exported: Path, tmp_path: Path) -> None:
    images = tmp_path / 'images'
    (images / '日本').mkdir(parents=True)
    (tmp_path / 'disk').mkdir()
    (images / 'linked').symlink_to(tmp_path / 'disk')
    for name, target in (('a', images / '日本'), ('again', images)):
        (images / name).symlink_to(target)  # these are read already
    for name in ('日本/straße.png', 'linked/a.jpg', 'linked/a.png'):
        picture(images / name)
    (images / 'broken.jpg').write_text('no image')
    (images / 'notes.txt').write_text('no image either')
    results = {}
    for file in ('a.pth', 'a.onnx'):
        out = tmp_path / file
        result = predicted(exported, file, images, out)
        assert result.code == 0, result.err
        assert 'broken.jpg: ' in result.out + result.err
        assert re.search(r': 3 images predicted, .* images/s', result.out)
        assert '1 file left out' in result.out
        assert 'such as notes.txt: no images' in result.out
        names = sorted(
            str(path.relative_to(out))
            for path in out.rglob('*')
            if path.is_file()
        )
        ones = ['linked/a.jpg', 'linked/a.png', '日本/straße.png']
        assert names == [
            *(f'preds/{one}.png' for one in ones),
            *(f'vis/{one}.jpg' for one in ones),
        ]
        results[file] = np.array(Image.open(out / 'preds/日本/straße.png.png'))
    same = results['a.pth'] == results['a.onnx']
    assert same.mean() > 0.99 and same.shape == (44, 60)


def test_video(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / 'drive.mp4'
    code = cv2.VideoWriter.fourcc(*'mp4v')
    video = cv2.VideoWriter(str(path), code, 5, (64, 48))
    for i in range(4):
        video.write(np.full((48, 64, 3), 50 * i, np.uint8))
    video.release()
    result = predicted(exported, 'a.onnx', path, tmp_path / 'out')
    assert result.code == 0, result.err
    frames = sorted((tmp_path / 'out/preds/drive').iterdir())
    assert [f.name for f in frames] == [f'{i:06d}.png' for i in range(4)]
    drawn = cv2.VideoCapture(str(tmp_path / 'out/vis/drive.mp4'))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 4
    assert drawn.get(cv2.CAP_PROP_FPS) == 5


def test_bad_input(exported: Path, tmp_path: Path) -> None:
    images, results = tmp_path / 'images', tmp_path / 'old/vis'
    images.mkdir()
    results.mkdir(parents=True)
    picture(results / 'a.jpg')
    linking = tmp_path / 'linking'
    linking.mkdir()
    (linking / 'more').symlink_to(results)
    before = (results / 'a.jpg').read_bytes()
    for given, out, message in (
        (tmp_path / 'none', 'out', 'there is no file or folder'),
        (images, 'out', 'must have images'),
        (exported / 'config.py', 'out', 'must be a folder, an image'),
        (images, 'images/out', '--out must be another folder'),
        (results, 'old', '--out must be another folder'),
        (linking, 'old', '--out must be another folder'),
        (results / 'a.jpg', 'old', '--out must be another folder'),
    ):
        result = predicted(exported, 'a.pth', given, tmp_path / out)
        assert result.code == 2 and message in result.err
    for name, message in (
        ('broken.mp4', 'can be read as a video'),
        ('broken.png', 'no image could be predicted'),
    ):
        (tmp_path / name).write_text('nothing')
        result = predicted(exported, 'a.pth', tmp_path / name, tmp_path / 'o')
        assert result.code == 2 and message in result.err
    assert (results / 'a.jpg').read_bytes() == before
    assert not any(p.is_file() for p in (tmp_path / 'o').rglob('*'))


def test_image_of_another_size_is_left_out(
    exported: Path, tmp_path: Path
) -> None:
    """Of a file without a test pipeline that resizes."""
    cfg = Config.fromfile(exported / 'config.py')
    del cfg.test_dataloader.dataset.pipeline[1]
    cfg.dump(str(tmp_path / 'config.py'))
    (tmp_path / 'a.onnx').write_bytes((exported / 'a.onnx').read_bytes())
    (tmp_path / 'images').mkdir()
    picture(tmp_path / 'images/a.jpg')
    picture(tmp_path / 'images/b.jpg', 80, 44)
    out = tmp_path / 'out'
    result = predicted(tmp_path, 'a.onnx', tmp_path / 'images', out)
    assert result.code == 0 and ': 1 image predicted' in result.out
    assert 'b.jpg: ' in result.out and 'reads images of 3x48x64' in result.out


def test_what_is_written(tmp_path: Path) -> None:
    pytest.importorskip('mmdet')
    labels, masks = torch.tensor([1, 0]), torch.zeros(2, 6, 8).bool()
    masks[0, 2:4, 1:] = True
    found = InstanceData(
        labels=labels, scores=torch.tensor([0.5, float('nan')]), masks=masks
    )
    maps = PixelData(data=torch.full((1, 6, 8), 299))
    sample = BaseDataElement(
        pred_instances=found, pred_sem_seg=maps, pred_depth_map=maps
    )
    write_results(str(tmp_path), 'a', sample, ['cat', 'dog'])
    written = json.loads((tmp_path / 'preds/a.json').read_text())
    assert written['classes'] == ['dog', 'cat']
    assert written['scores'] == [0.5, None]
    assert written['masks'][0]['size'] == [6, 8]
    png = cv2.imread(str(tmp_path / 'preds/a.png'), cv2.IMREAD_UNCHANGED)
    assert png.dtype == np.uint16 and (png == 299).all()
    assert np.load(tmp_path / 'preds/a.pred_depth_map.npy').shape == (1, 6, 8)


def test_point_clouds_are_no_images() -> None:
    pytest.importorskip('mmdet3d')
    name = 'mmdet3d/pointpillars_hrnas-demo_1xb2-12e_kitti-3d-3class.py'
    cfg = prepare_config(str(ROOT / 'configs' / name))
    with pytest.raises(ValueError, match='a model that reads images'):
        Predictor(cfg, 'a.pth', 'cpu', None)
