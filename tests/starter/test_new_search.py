"""From a folder of data to a searched network, by what is printed alone."""

import json
import pickle
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import own_data
import pytest
import torch
from command_line import call, checked
from exporting.int8 import quantize_
from kitti import compile_metric
from mmengine.config import Config
from starter import detect

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import prepare_config
from hrnas_mm.deploy import NO_ENDS
from hrnas_mm.runtimes.file_facts import read_facts

ROOT = Path(__file__).parents[2]
KINDS = dict(
    label_maps='mmseg', class_folders='mmpretrain', keypoints='mmpose',
    boxes='mmdet', lidar_boxes='mmdet3d',
)  # fmt: skip
SHORT = ('--iterations', 6, '--batch-size', 4)
OF_THREE_FRAMES = ('--iterations', 2, '--batch-size', 2)
# What the names of pictures end in; of points there are none.
TRUTH = ['_ground_truth']
DRAWN: dict[str, list[str]] = dict(class_folders=[''], lidar_boxes=[])
OUT = dict(label_maps='maps', keypoints='out.json')
PICTURES = ('.png', '.jpg')
QUICK = [
    *own_data.NO_WORKERS,
    'default_hooks.checkpoint.interval=6',
    'train_cfg.val_interval=6',
]


def in_integers(config: str, source: str, target: str) -> None:
    """A file in 8-bit integers, as export_onnx --int8 makes it."""
    shutil.copy(source, target)
    cfg = prepare_config(config)
    shape = read_facts(target).shape
    model = build_model(cfg)
    quantize_(target, cfg, model, shape, 2, NO_ENDS, 'onnxruntime')


@pytest.mark.parametrize('kind', own_data.grouped(KINDS))
def test_new_search(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Once for all processes that are forked from this one.
    pytest.importorskip(f'{KINDS[kind]}.apis')
    if kind == 'lidar_boxes':
        compile_metric()
    getattr(own_data, kind)(tmp_path / 'data')
    size = ('--size', 64, 64)
    printed = checked(
        ROOT / 'tools/new_search.py', 'data', 'mine.py',
        *(OF_THREE_FRAMES if kind == 'lidar_boxes' else SHORT), *size,
        cwd=tmp_path,
    )  # fmt: skip
    commands = [
        shlex.split(line, comments=True)[3:]
        for line in printed.splitlines()
        if line.startswith('python -m hrnas_mm')
    ]
    train, again, (test, *tested), export = commands
    assert train[0] == 'train' and again == [*train, '--resume']
    assert test == 'test' and export == ['export_onnx', *tested, 'mine.onnx']
    config = tmp_path / 'mine.py'
    config.write_text(own_data.smaller(config.read_text()))
    options = ('--cfg-options', *QUICK)
    checked(ROOT / 'tools/train.py', train[1], *options, cwd=tmp_path)
    work_dir = tmp_path / 'work_dirs/mine'
    assert (work_dir / 'report.html').exists()
    assert len(list(work_dir.glob('best_*.pth'))) == 1
    for folder, shown in (
        ('training_batch', TRUTH if kind != 'lidar_boxes' else []),
        ('predictions', DRAWN.get(kind, [*TRUTH, '_prediction'])),
    ):
        found = sorted(path.stem for path in (work_dir / folder).glob('*'))
        assert found == sorted(f'{i}{x}' for i in range(4) for x in shown)
    drawn = ('--show-dir', 'drawn') if kind != 'lidar_boxes' else ()
    out = OUT.get(kind, 'out.pkl')
    checked(ROOT / 'tools/test.py', *tested, *drawn, '--out', out, *options,
            cwd=tmp_path)  # fmt: skip
    assert (tmp_path / out).exists()
    count = sum(
        path.suffix in PICTURES for path in tmp_path.rglob('drawn/**/*')
    )
    assert bool(count) == bool(drawn)
    checked(ROOT / 'tools/export_onnx.py', *export[1:], cwd=tmp_path)
    files = ['mine.onnx']
    if kind in ('label_maps', 'class_folders'):
        files.append('int8.onnx')
        monkeypatch.chdir(tmp_path)
        in_integers(tested[0], *files)
    of_its_size = (
        ['test_dataloader.dataset.pipeline.1.keep_ratio=False']
        if kind in ('label_maps', 'boxes')
        else []
    )
    printed = checked(
        ROOT / 'tools/test.py', *tested, *files, *options, *of_its_size,
        cwd=tmp_path,
    )  # fmt: skip
    *_, beside = printed.partition('mine.onnx ')
    one = r' +([-\d.e]+) │'
    figures = re.findall(f'│{one}{one}{one * (len(files) - 1)}$', beside, re.M)
    assert figures and all(ours == its for ours, its, *_ in figures)
    model = torch.load(work_dir / 'searched/model.pth', weights_only=True)
    costs = model['architecture']['costs']
    record = json.loads((work_dir / 'search.json').read_text())
    assert costs['macs'] <= 0.25 * record['costs']['macs']
    assert '# - Target 0.25: choose it by' in config.read_text()


@pytest.mark.parametrize(
    'option, message',
    [
        (('--batch-size', -1), 'a whole number of at least 1'),
        (('--iterations', 0), 'a whole number of at least 1'),
        (('--size', 0, 64), 'a whole number of at least 1'),
        (('--target', 'abc'), 'a positive number'),
        (('--target', 0), 'a positive number'),
        (('--target', '6ms'), 'milliseconds need a table'),
    ],
)
def test_options_that_are_no_numbers(
    tmp_path: Path, option: tuple[object, ...], message: str
) -> None:
    result = call(
        ROOT / 'tools/new_search.py', 'data', 'a.py', *option, cwd=tmp_path
    )
    assert result.code == 2
    assert f'argument {option[0]}: must be' in result.err
    assert message in result.err


def test_layouts_of_the_named_task_are_listed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='for boxes. Known: COCO') as raised:
        detect(str(tmp_path), 'boxes')
    assert ';' not in str(raised.value)


def test_what_a_look_finds(tmp_path: Path) -> None:
    own_data.label_maps(tmp_path)
    for kind in ('pictures', 'masks'):  # which is not to be looked at
        shutil.copytree(tmp_path / kind / 'val', tmp_path / kind / 'test')
    found = detect(str(tmp_path))
    assert found.task == 'label_maps' and found.images == 18
    assert found.facts['classes'] == ['class 0', 'class 1', 'class 2']
    assert found.facts['folders']['val'] == ('pictures/val', 'masks/val')
    assert found.facts['suffixes']['val'] == ('photo.jpg', 'ids.png')
    assert 'No pixel has the label 1.' in found.notes
    (tmp_path / 'classes.txt').write_text('ground\nnothing\nsquare\n')
    assert detect(str(tmp_path)).facts['classes'][2] == 'square'


def test_what_a_look_finds_in_boxes(tmp_path: Path) -> None:
    """Both splits have files of the same names; test is not val."""
    own_data.boxes(tmp_path)
    found = detect(str(tmp_path))
    assert found.task == 'boxes' and found.images == 20
    splits = ('train', 'val')
    assert found.facts == dict(
        files={s: f'squares_{s}2020.json' for s in splits},
        folders={s: f'photos/{s}' for s in splits},
        classes=['disc', 'square'],  # labels are numbered by this order
    )
    assert 'No box is of the class disc.' in found.notes


@pytest.mark.parametrize('suffix', ['2017', '_images'])
def test_images_are_those_of_their_split(tmp_path: Path, suffix: str) -> None:
    """As COCO names its folders, in both of which there is a 0.jpg."""
    own_data.boxes(tmp_path)
    for split in ('train', 'val'):
        (tmp_path / 'photos' / split).rename(tmp_path / f'{split}{suffix}')
    folders = detect(str(tmp_path)).facts['folders']
    assert folders == {s: f'{s}{suffix}' for s in ('train', 'val')}


@pytest.mark.parametrize(
    'root, images, labels',
    [('my_segmentation', 'photos', 'masks'), ('a', 'scanned', 'classes')],
)
def test_words_for_labels(
    tmp_path: Path, root: str, images: str, labels: str
) -> None:
    """They count as words, and where the two folders differ."""
    own_data.label_maps(tmp_path / root, images, labels)
    folders = detect(str(tmp_path)).facts['folders']
    assert folders['train'] == (
        f'{root}/{images}/train',
        f'{root}/{labels}/train',
    )


def test_grey_images_beside_masks(tmp_path: Path) -> None:
    own_data.label_maps(tmp_path)
    for path in tmp_path.glob('pictures/*/*'):
        own_data.write(path, own_data.cv2.imread(str(path), 0))
    folders = detect(str(tmp_path)).facts['folders']
    assert folders['train'] == ('pictures/train', 'masks/train')


def test_capitals_in_names_of_splits(tmp_path: Path) -> None:
    own_data.class_folders(tmp_path)
    (tmp_path / 'val').rename(tmp_path / 'Val')
    assert detect(str(tmp_path)).facts['folders']['val'] == 'Val'


def test_suffixes_of_every_image_are_in_the_config(tmp_path: Path) -> None:
    own_data.class_folders(tmp_path)
    assert '.webp' in detect(str(tmp_path)).facts['extensions']


def number_too_high(root: Path) -> None:
    label = np.full((80, 80), 400, np.uint16)
    own_data.write(root / 'masks/val/0_ids.png', label)


def add_an_empty_folder(root: Path) -> None:
    (root / 'val/.ipynb_checkpoints').mkdir()


def break_labels(root: Path) -> None:
    (root / 'classes.txt').write_text('ground\n')


def remove_a_label(root: Path) -> None:
    (root / 'masks/train/3_ids.png').unlink()


def colour_a_label(root: Path) -> None:
    image = own_data.cv2.imread(str(root / 'pictures/val/0_photo.jpg'))
    own_data.write(root / 'masks/val/0_ids.png', image)


def remove_val(root: Path) -> None:
    for path in root.rglob('val/*'):
        path.unlink()


def merge_classes(root: Path) -> None:
    for split in ('train', 'val'):
        shutil.rmtree(root / split / 'empty')


def merge_splits(root: Path) -> None:
    shutil.rmtree(root / 'val')
    for path in (root / 'train').iterdir():
        path.rename(root / path.name)
    (root / 'train').rmdir()


def cut_an_image_off(root: Path) -> None:
    path = root / 'val/empty/1.png'
    path.write_bytes(path.read_bytes()[:300])


def remove_a_class(root: Path) -> None:
    for path in (root / 'val/empty').iterdir():
        path.unlink()


def shorten(root: Path) -> None:
    path = root / 'squares_val2020.json'
    content = json.loads(path.read_text())
    content['annotations'][0]['keypoints'].pop()
    path.write_text(json.dumps(content))


def forget_names(root: Path) -> None:
    categories = [dict(id=1, name='square')]
    change_coco(root / 'squares_train2020.json', categories=categories)


def misclassify(root: Path) -> None:
    change_coco(root / 'squares_val2020.json', 'category_id', 4)


def remove_an_image(root: Path) -> None:
    (root / 'photos/val/5.jpg').unlink()


def halve_a_box(root: Path) -> None:
    change_coco(root / 'squares_val2020.json', 'bbox', [1, 2])


def flatten_boxes(root: Path) -> None:
    for i in range(20):
        change_coco(root / 'squares_train2020.json', 'bbox', [1, 2, 3, 0], i)


def reorder_classes(root: Path) -> None:
    categories = [dict(id=1, name='square'), dict(id=7, name='disc')]
    change_coco(root / 'squares_val2020.json', categories=categories)


def change_coco(
    path: Path,
    field: str | None = None,
    value: Any = None,
    index: int = 0,
    **fields: Any,
) -> None:
    content = json.loads(path.read_text())
    if field:
        content['annotations'][index][field] = value
    path.write_text(json.dumps(content | fields))


@pytest.mark.parametrize(
    'kind, change, message',
    [
        ('label_maps', break_labels, 'has the label 2, but .*classes.txt has'),
        ('label_maps', remove_a_label, '3_photo.jpg has no label map'),
        ('label_maps', colour_a_label, '0_ids.png must have one channel'),
        ('label_maps', number_too_high, 'labels of at most 255, .* got 400'),
        ('label_maps', remove_val, 'none to evaluate on'),
        ('class_folders', add_an_empty_folder, 'checkpoints has no images'),
        ('class_folders', remove_a_class, "got 'empty' in one of them only"),
        ('class_folders', merge_classes, "or more classes, got 'a sq.* alone"),
        ('class_folders', merge_splits, 'but no split: if each is a class'),
        ('class_folders', cut_an_image_off, 'val/empty/1.png must be an im'),
        ('keypoints', shorten, 'must have 9 numbers, .* got 8'),
        ('keypoints', forget_names, 'must have keypoints, the list of'),
        ('boxes', misclassify, 'category_id of one of the categories, got 4'),
        ('boxes', remove_an_image, "names '5.jpg', which is not in .*photos"),
        ('boxes', halve_a_box, r'must have a bbox of 4 numbers.* got \[1, 2'),
        ('boxes', flatten_boxes, 'must have boxes of at least one pixel'),
        ('boxes', reorder_classes, r'in the same order.*disc.*square.*disc'),
        (
            'nothing',
            lambda root: None,
            'no layout that is known. Known: ',
        ),
    ],
)
def test_what_is_wrong_with_the_data(
    tmp_path: Path, kind: str, change: Callable[[Path], Any], message: str
) -> None:
    getattr(own_data, kind, lambda root: None)(tmp_path)
    change(tmp_path)
    with pytest.raises(ValueError, match=message):
        detect(str(tmp_path))


def write_infos(root: Path, split: str, *labels: int) -> dict[str, Any]:
    """The file of mmdet3d, with a box per label, a metre to the left of it."""
    names = ('Pedestrian', 'Cyclist', 'Car', 'Van', 'Truck')
    to_camera = [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    instances = [
        dict(bbox_label_3d=label, bbox_3d=[-1.0, 2, 10 + 5 * i, 4, 1.5, 2, 0])
        for i, label in enumerate(labels)
    ]
    frame = dict(
        instances=instances,
        images=dict(CAM2=dict(lidar2cam=to_camera)),
        lidar_points=dict(lidar_path='0.bin'),
    )
    categories = {name: i for i, name in enumerate(names)}
    infos = dict(metainfo=dict(categories=categories), data_list=[frame])
    save_infos(root, split, infos)
    return infos


def save_infos(root: Path, split: str, infos: dict[str, Any]) -> None:
    (root / f'my_infos_{split}.pkl').write_bytes(pickle.dumps(infos))


def test_what_a_look_finds_in_lidar_frames(tmp_path: Path) -> None:
    points = tmp_path / 'training/velodyne'
    points.mkdir(parents=True)
    with pytest.raises(ValueError, match='create_data.py kitti on it first'):
        detect(str(tmp_path))
    write_infos(tmp_path, 'train', 4)
    with pytest.raises(ValueError, match=r'a file \*_infos_val.pkl'):
        detect(str(tmp_path))
    write_infos(tmp_path, 'val', 2)
    with pytest.raises(ValueError, match="the points of '0.bin' in"):
        detect(str(tmp_path))
    (points / '0.bin').touch()
    with pytest.raises(ValueError, match="classes that KITTI's evaluation"):
        detect(str(tmp_path))
    write_infos(tmp_path, 'train', 2, 4, 2)
    found = detect(str(tmp_path))
    assert found.images == 1 and found.facts['points'] == 'training/velodyne'
    assert found.facts['classes'] == ['Car']
    assert found.facts['anchors'] == [[4.0, 2.0, 1.5]]  # length, width, height
    assert found.facts['bottoms'] == [-2.0]
    assert found.facts['overlaps'] == [(0.6, 0.45)]
    # Whole blocks of 5.12 m around centres at x = 10 and 20, y = 1.
    assert found.facts['area'] == [0.0, 0.0, -3.0, 25.6, 5.12, 0.0]


def of_nuscenes(infos: dict[str, Any]) -> None:
    infos['data_list'][0]['images'] = {}


def number_from_one(infos: dict[str, Any]) -> None:
    infos['metainfo']['categories'] = dict(Car=1)


def lose_a_box(infos: dict[str, Any]) -> None:
    infos['data_list'][0]['instances'][0]['bbox_3d'][2] = float('nan')


def empty(infos: dict[str, Any]) -> None:
    infos['data_list'] = []


@pytest.mark.parametrize(
    'change, message',
    [
        (of_nuscenes, "must be what mmdet3d 1.1 .*KeyError: 'CAM2'"),
        (number_from_one, "must number its categories as KITTI.*'Car': 1"),
        (lose_a_box, 'must be what mmdet3d 1.1 or newer writes'),
        (empty, 'must have at least one frame'),
    ],
)
def test_info_files_that_are_not_kittis(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    infos = write_infos(tmp_path, 'train', 2)
    write_infos(tmp_path, 'val', 2)
    change(infos)
    save_infos(tmp_path, 'train', infos)
    with pytest.raises(ValueError, match=message):
        detect(str(tmp_path))


def test_a_crop_has_the_size_of_the_input() -> None:
    """mmdet's RandomCrop takes width and height, mmseg's the reverse."""
    pytest.importorskip('mmdet')
    from mmdet.datasets.transforms import RandomCrop

    path = ROOT / 'configs/mmdet'
    (demo,) = path.glob('fcos_*.py')
    cfg = Config.fromfile(demo)
    crop = next(t for t in cfg.train_pipeline if t.type == 'RandomCrop')
    crop = RandomCrop(**{k: v for k, v in crop.items() if k != 'type'})
    image = np.zeros((500, 600, 3), np.uint8)
    result = crop(dict(img=image, img_shape=image.shape[:2]))
    assert result['img'].shape[:2] == tuple(cfg.custom_hooks[2].input_shape)
