"""Generated data: labels that fit the pictures, in layouts that load."""

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from command_line import call, checked
from mmengine.registry import DATASETS, DefaultScope

import hrnas_mm  # noqa: F401  (before mmpretrain, see compat.py)

sys.path.insert(0, str(Path(__file__).parents[2] / 'tools'))

from demo_data import LAYOUTS  # noqa: E402
from demo_data.coco import INDEX  # noqa: E402
from demo_data.kitti import _calibration, _label, points, scene  # noqa: E402

COUNTS = dict(train=6, val=3)


def make(layout: str, folder: Path, seed: int = 0) -> Path:
    size = LAYOUTS[layout].size
    LAYOUTS[layout].make(str(folder), COUNTS, size, seed)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def built(framework: str, **config: Any) -> Any:
    pytest.importorskip(framework)
    with DefaultScope.overwrite_default_scope(framework):
        return DATASETS.build(config)


@pytest.mark.parametrize(
    'layout', ['cityscapes', 'ade20k', 'coco', 'imagenet']
)
def test_a_seed_makes_the_same_files(layout: str, tmp_path: Path) -> None:
    first = files(make(layout, tmp_path / 'a'))
    assert first == files(make(layout, tmp_path / 'b'))
    other = files(make(layout, tmp_path / 'c', seed=1))
    assert set(other) == set(first) and other != first


def test_other_data_are_not_replaced(tmp_path: Path) -> None:
    command = 'tools/make_demo_data.py', 'imagenet', tmp_path
    few = '--train', 1, '--val', 1
    for _ in range(2):  # what was generated may be
        checked(*command, *few)
    (tmp_path / '.generated').unlink()
    before = files(tmp_path)
    result = call(*command, *few)
    assert 'has files that were not generated, such as ' in result.err
    assert result.code == 2 and files(tmp_path) == before
    assert 'at least 1' in call(*command, '--train', -3).err


def test_ade20k(tmp_path: Path) -> None:
    data = make('ade20k', tmp_path)
    dataset = built(
        'mmseg',
        type='ADE20KDataset',
        data_root=str(data),
        data_prefix=dict(
            img_path='images/training', seg_map_path='annotations/training'
        ),
    )
    assert len(dataset) == COUNTS['train']
    seen = set()
    for facts in (dataset[i] for i in range(len(dataset))):
        labels = cv2.imread(facts['seg_map_path'], cv2.IMREAD_UNCHANGED)
        assert labels.shape == cv2.imread(facts['img_path']).shape[:2]
        seen |= set(np.unique(labels))
    assert len(seen) > 5 and max(seen) <= 150


def test_coco(tmp_path: Path) -> None:
    data = make('coco', tmp_path)
    dataset = built(
        'mmpose',
        type='CocoDataset',
        data_root=str(data),
        data_mode='topdown',
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
    )
    assert len(dataset) >= COUNTS['train']
    for person in (dataset[i] for i in range(len(dataset))):
        image = cv2.imread(person['img_path'])
        assert image is not None
        (joints,), (visible,) = (
            person['keypoints'],
            person['keypoints_visible'],
        )
        left, top, right, bottom = person['bbox'][0]
        x, y = joints[visible > 0].T
        assert (left <= x).all() and (x <= right).all()
        assert (top <= y).all() and (y <= bottom).all()
        # Heads are up, in every one of them.
        assert joints[INDEX['nose'], 1] < joints[INDEX['left_hip'], 1]


def test_coco_detections_are_boxes_of_its_people(tmp_path: Path) -> None:
    data = make('coco', tmp_path)
    annotations = json.loads(
        (data / 'annotations/person_keypoints_val2017.json').read_text()
    )
    (file,) = data.glob('person_detection_results/*_56_person.json')
    detections = json.loads(file.read_text())
    for person in annotations['annotations']:
        x, y, width, height = person['bbox']
        overlaps = []
        for found in detections:
            if found['image_id'] == person['image_id']:
                a, b, w, h = found['bbox']
                across = min(x + width, a + w) - max(x, a)
                down = min(y + height, b + h) - max(y, b)
                inner = max(across, 0) * max(down, 0)
                overlaps.append(inner / (width * height + w * h - inner))
        assert max(overlaps) > 0.5


def test_imagenet(tmp_path: Path) -> None:
    data = make('imagenet', tmp_path)
    dataset = built(
        'mmpretrain',
        type='ImageNet',
        data_root=str(data),
        split='val',
    )
    assert len(dataset) == COUNTS['val']
    for facts in (dataset.get_data_info(i) for i in range(len(dataset))):
        assert cv2.imread(facts['img_path']) is not None
        folder = Path(facts['img_path']).parent.name
        names = sorted(p.name for p in (data / 'train').iterdir())
        assert names.index(folder) == facts['gt_label']


@pytest.mark.parametrize('seed', range(3))
def test_kittis_labels_are_where_the_points_are(seed: int) -> None:
    """By KITTI's own definition, in the camera's coordinates."""
    rng = np.random.default_rng(seed)
    boxes = scene(rng)
    cloud = points(boxes, rng)
    rows = dict(line.split(': ') for line in _calibration().splitlines())
    to_camera = np.array(rows['Tr_velo_to_cam'].split(), float).reshape(3, 4)
    project = np.array(rows['P2'].split(), float).reshape(3, 4)
    camera = cloud[:, :3] @ to_camera[:, :3].T + to_camera[:, 3]
    assert {box.name for box in boxes} <= {'Car', 'Pedestrian', 'Cyclist'}
    for box in boxes:
        name, _, _, *numbers = _label(box).split()
        _, left, top, right, bottom, h, w, length, *place = map(float, numbers)
        *centre, turn = place
        x, y, z = (camera - centre).T
        along = np.cos(turn) * x - np.sin(turn) * z
        across = np.sin(turn) * x + np.cos(turn) * z
        inside = (abs(along) < length / 2 + 0.1) & (abs(across) < w / 2 + 0.1)
        inside &= (-h - 0.1 < y) & (y < -0.02)
        assert inside.sum() >= 10, name
        pixels = camera[inside] @ project[:, :3].T + project[:, 3]
        u, v = (pixels[:, :2] / pixels[:, 2:]).T
        on_screen = (u > 0) & (u < 1241) & (v > 0) & (v < 374)
        assert (u[on_screen] > left - 4).all()
        assert (u[on_screen] < right + 4).all()
        assert (v[on_screen] > top - 4).all()
        assert (v[on_screen] < bottom + 4).all()
