"""KITTI's AP without a GPU: the numbers of mmdet3d's own numba kernels."""

import os
import pickle
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from kitti import CLASSES, frames

from hrnas_mm.compat_mmdet3d import (
    mend_mmdet3d_,
    own_samplers,
    rotate_iou,
    shuffle_samplers_,
)

pytest.importorskip('mmdet3d')
mend_mmdet3d_()
# In the process that compiles numba's kernels for others too.
pytestmark = pytest.mark.xdist_group('kitti')

from mmdet3d.datasets.transforms.dbsampler import BatchSampler  # noqa: E402

# Runs mmdet3d's kernels in numba's simulator of a GPU, which has to be chosen
# before numba is imported.
SIMULATOR = """
import pickle, sys
import hrnas_mm
from mmdet3d.evaluation.functional.kitti_utils import eval as kitti
from mmdet3d.evaluation.functional.kitti_utils.rotate_iou import (
    rotate_iou_gpu_eval)

pairs, frames, classes = pickle.load(open(sys.argv[1], 'rb'))
overlaps = [
    {c: rotate_iou_gpu_eval(*pair, c) for c in (-1, 0, 1, 2)}
    for pair in pairs
]
text, values = kitti.kitti_eval(*frames, classes)
pickle.dump((overlaps, text, values), open(sys.argv[2], 'wb'))
"""


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.concatenate(
        [
            rng.uniform(-4, 4, (count, 2)),
            rng.uniform(0.3, 4, (count, 2)),
            rng.uniform(-7, 7, (count, 1)),
        ],
        axis=1,
    )


def special_pairs() -> tuple[np.ndarray, np.ndarray]:
    """Identical, turned, contained, disjoint and overlapping by half.

    Not identical but for half a turn: there rounding makes the kernels lose
    a quarter of the overlap, and ours is the true number.
    """
    boxes = np.array([[0, 0, 2, 4, 0.0], [1, 1, 3, 1, 0.3]])
    queries = np.array(
        [
            [0, 0, 2, 4, np.pi / 2],
            [0.1, 0, 1, 1, 0.2],
            [30, 30, 1, 1, 0],
            [1, 0, 2, 4, 0],
            [1, 1, 3, 1, 0.3],
        ]
    )
    return boxes, queries


@pytest.fixture(scope='module')
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The inputs, and what the simulated GPU makes of them."""
    rng = np.random.default_rng(0)
    pairs = [(random_boxes(rng, 9), random_boxes(rng, 7)), special_pairs()]
    inputs = (pairs, frames(rng), CLASSES)
    folder = tmp_path_factory.mktemp('simulator')
    (folder / 'in.pkl').write_bytes(pickle.dumps(inputs))
    subprocess.run(
        [sys.executable, '-c', SIMULATOR, folder / 'in.pkl', folder / 'out'],
        env={**os.environ, 'NUMBA_ENABLE_CUDASIM': '1'},
        check=True,
    )
    return inputs, pickle.loads((folder / 'out').read_bytes())


def test_overlaps(case: tuple[Any, Any]) -> None:
    (pairs, _, _), (expected, _, _) = case
    for (boxes, queries), by_criterion in zip(pairs, expected):
        for criterion, overlap in by_criterion.items():
            found = rotate_iou(boxes, queries, criterion)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, overlap, atol=2e-5)
    empty = rotate_iou(np.zeros((0, 5)), np.ones((3, 5)))
    assert empty.shape == (0, 3)


def test_official_ap(case: tuple[Any, Any]) -> None:
    mend_mmdet3d_()
    from mmdet3d.evaluation.functional.kitti_utils.eval import kitti_eval

    (_, annotations, classes), (_, text, expected) = case
    found_text, found = kitti_eval(*annotations, classes)
    assert found_text == text
    assert found == pytest.approx(expected, abs=1e-4)
    assert len({round(value, 3) for value in found.values()}) > 5


def test_what_numpy_lost() -> None:
    mend_mmdet3d_()
    assert np.dtype(np.long).kind == 'i'  # type: ignore[attr-defined]


class Data:
    """A data set that samples ground truths, inside another."""

    def __init__(self, sampler: Any) -> None:
        transform = SimpleNamespace(
            db_sampler=SimpleNamespace(sampler_dict=dict(Car=sampler))
        )
        self.pipeline = SimpleNamespace(transforms=[object(), transform])


def draws(sampler: Any, count: int = 7) -> list[int]:
    return [int(i) for _ in range(count) for i in sampler._sample(3)]


def test_ground_truth_samplers_begin_as_the_generator_says() -> None:
    sampler = BatchSampler(list(range(10)), 'Car')
    repeated = SimpleNamespace(dataset=Data(sampler))
    joined = SimpleNamespace(datasets=[repeated])
    found = []
    for _ in range(2):
        np.random.seed(4)
        shuffle_samplers_(joined)
        found.append(draws(sampler))
    assert found[0] == found[1]
    np.random.seed(5)
    shuffle_samplers_(joined)
    assert draws(sampler) != found[0]


def test_ground_truth_samplers_of_ones_own() -> None:
    sampler, twin = (
        BatchSampler(list(range(10)), 'Car', shuffle=False) for _ in range(2)
    )
    assert draws(sampler, 2) == draws(twin, 2)
    with own_samplers(Data(sampler)):
        draws(sampler)
    assert draws(sampler, 5) == draws(twin, 5)


def test_numba_leaves_torchs_threads_alone() -> None:
    code = (
        'import os; os.environ.pop("NUMBA_THREADING_LAYER", None)\n'
        'from hrnas_mm.compat_mmdet3d import mend_mmdet3d_\n'
        'mend_mmdet3d_()\n'
        'import numba, torch\n'
        '@numba.njit(parallel=True)\n'
        'def count(n):\n'
        '    total = 0\n'
        '    for i in numba.prange(n):\n'
        '        total += 1\n'
        '    return total\n'
        'assert count(99) == 99\n'
        'assert torch.get_num_threads() == 1\n'
    )
    result = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'NUMBA_NUM_THREADS': '2'},
    )
    assert result.returncode == 0, result.stderr


def test_dont_care_is_known_though_the_last_frame_has_none() -> None:
    """As create_data leaves real KITTI frames, see compat_mmdet3d.py."""
    from mmdet3d.evaluation.metrics import KittiMetric

    instance = dict(
        truncated=-1, occluded=-1, alpha=-10, bbox=[0, 0, 1, 1],
        bbox_3d=[0.0] * 7, score=0.0,
    )  # fmt: skip
    infos = dict(
        metainfo=dict(categories=dict(Car=0)),
        data_list=[
            dict(instances=[dict(instance, bbox_label=label)])
            for label in (-1, 0)
        ],
    )
    metric = KittiMetric('absent.pkl')
    frames = metric.convert_annos_to_kitti_annos(infos)
    names = [list(frame['kitti_annos']['name']) for frame in frames]
    assert names == [['DontCare'], ['Car']]
