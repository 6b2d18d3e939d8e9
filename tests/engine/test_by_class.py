"""What an evaluation tells of each class, against the frameworks' own."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from records import make_record

from hrnas_mm.engine.by_class import ByClass
from hrnas_mm.engine.state import History, SearchState, read_state
from hrnas_mm.report.confusion import confusions_table, plot_confusion
from hrnas_mm.report.record import ClassMetrics, Confusion
from hrnas_mm.report.tables import classes_table

CLASSES = ('road', 'car', 'tree')


def evaluation(
    *metrics: Any, size: int = 9, **metainfo: Any
) -> tuple[ByClass, Any]:
    dataset: Any = type('Data', (list,), {})([None] * size)
    dataset.metainfo = dict(classes=CLASSES, **metainfo)
    runner: Any = SimpleNamespace(
        val_loop=object(),
        val_dataloader=SimpleNamespace(dataset=dataset),
        val_evaluator=SimpleNamespace(metrics=list(metrics)),
    )
    by_class = ByClass(runner)
    by_class.begin()
    return by_class, runner


def noted(by_class: ByClass, **metrics: float) -> History:
    history = History()
    by_class.note(history, metrics)
    return history


@pytest.mark.parametrize('ignored', [255, 2])
def test_label_maps_give_the_iou_of_mmseg(ignored: int) -> None:
    """That follows from the confusion, ignored pixels apart."""
    metrics = pytest.importorskip('mmseg.evaluation.metrics')
    metric = metrics.IoUMetric(ignore_index=ignored)
    metric.dataset_meta = dict(classes=CLASSES)
    by_class, _ = evaluation(metric)
    samples = []
    for labels in torch.randint(0, 4, (5, 2, 1, 9, 7)):
        truth, predicted = labels[0].clone(), labels[1].clamp(max=2)
        truth[truth == 3] = ignored
        samples.append(
            BaseDataElement(
                gt_sem_seg=PixelData(data=truth),
                pred_sem_seg=PixelData(data=predicted),
            )
        )
    for i in range(0, 5, 2):
        by_class.see(samples[i : i + 2])
    metric.process({}, [sample.to_dict() for sample in samples])
    metric.evaluate(5)
    history = noted(by_class)
    assert history.classes and history.confusion
    counts = np.array(history.confusion.counts)
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    iou = 100 * counts.diagonal() / union
    assert history.classes.metrics['IoU'] == pytest.approx(iou.tolist())
    by_class.remove()
    assert 'total_area_to_metrics' not in vars(metric)


def labelled(truth: list[int], predicted: list[int]) -> BaseDataElement:
    return BaseDataElement(
        gt_label=torch.tensor(truth), pred_label=torch.tensor(predicted)
    )


def test_labels_are_counted_once() -> None:
    """The last image is one that the sampler has repeated."""
    by_class, _ = evaluation(size=3)
    by_class.see([labelled([0], [1]), labelled([0], [0])])
    by_class.see([labelled([2], [1]), labelled([2], [2])])
    expected = Confusion(list(CLASSES), [[1, 1, 0], [0, 0, 0], [0, 1, 0]])
    assert noted(by_class).confusion == expected
    by_class.begin()
    assert noted(by_class) == History()
    table = confusions_table(make_record(confusion=expected))
    assert table and table.rows == [
        ('tree', 'car', '100.0%'),
        ('road', 'car', '50.0%'),
    ]
    (axes,) = plot_confusion(expected).axes
    shares = np.asarray(axes.images[0].get_array())
    assert shares.tolist() == [[50, 50, 0], [0, 0, 0], [0, 100, 0]]


def test_several_labels_are_not_confused() -> None:
    by_class, _ = evaluation()
    by_class.see([labelled([0], [1]), labelled([0, 2], [0, 2])])
    assert noted(by_class).confusion is None
    by_class.see('of another kind')


def test_boxes_class_by_class() -> None:
    """As if it had been asked for; no other metric comes of it."""

    class CocoMetric:
        dataset_meta = dict(classes=CLASSES)
        classwise = False

        def compute_metrics(self, results: Any) -> dict[str, float]:
            more = dict(road_precision=0.25, car_precision=math.nan)
            return dict(bbox_mAP=0.25, **(more if self.classwise else {}))

    metric = CocoMetric()
    by_class, _ = evaluation(metric)
    assert metric.compute_metrics([]) == dict(bbox_mAP=0.25)
    assert not metric.classwise
    found = ClassMetrics(list(CLASSES), dict(AP=[25.0, None, None]))
    assert noted(by_class).classes == found
    table = classes_table(make_record(classes=found))
    assert table and table.rows[0] == ('road', '25.0')
    metric.classwise = True  # the user's own wish
    assert 'road_precision' in metric.compute_metrics([])


def test_boxes_of_kitti_class_by_class() -> None:
    by_class, _ = evaluation()
    metrics = {
        f'Kitti metric/boxes/KITTI/{name}_{kind}_{how}': value + 10 * hard
        for value, name in enumerate(('Car', 'Traffic_sign', 'Overall'), 1)
        for hard, level in enumerate(('easy', 'moderate', 'hard'))
        for kind in (f'3D_AP40_{level}', f'BEV_AP40_{level}')
        for how in ('strict', 'loose')
        if name != 'Overall' or how == 'loose'
    }
    found = noted(by_class, **metrics).classes
    assert found and found.classes == ['Car', 'Traffic_sign']
    assert found.metrics['3D_AP40_moderate'] == [11, 12]
    assert len(found.metrics) == 3


def pose(
    shift: float, annotated: bool = True, visible: tuple[int, ...] = (1, 1)
) -> BaseDataElement:
    places = np.array([[[10.0, 10.0], [20.0, 20.0]]])
    sample = BaseDataElement(
        gt_instances=InstanceData(
            keypoints=places,
            keypoints_visible=np.array([visible]),
            bboxes=np.array([[0.0, 0.0, 40.0, 20.0]]),
        ),
        pred_instances=InstanceData(keypoints=places + [[shift, 0.0]]),
    )
    if annotated:
        sample.set_metainfo(dict(raw_ann_info=dict(area=100.0)))
    return sample


def test_the_similarity_of_keypoints_is_that_of_coco() -> None:
    by_class, _ = evaluation(
        keypoint_id2name={0: 'nose', 1: 'tail'}, sigmas=np.array([0.1, 0.2])
    )
    by_class.see([pose(1.0), pose(2.0, visible=(1, 0))])
    by_class.see([pose(9.0, annotated=False)])  # a box that was detected
    found = noted(by_class).classes
    assert found and found.classes == ['nose', 'tail']
    # exp(-d^2 / (2 s^2 k^2)) with k = 2 sigma, s^2 the object's area.
    nose = [math.exp(-(d**2) / (2 * 100 * 0.2**2)) for d in (1, 2)]
    tail = math.exp(-1 / (2 * 100 * 0.4**2))
    expected = [100 * sum(nose) / 2, 100 * tail]
    assert found.metrics['OKS'] == pytest.approx(expected)
    table = classes_table(make_record(classes=found))
    assert table and table.title == 'By keypoint'


def test_the_similarity_of_keypoints_is_within_mmposes() -> None:
    """Its OKS of an object is the mean over the visible keypoints."""
    nms = pytest.importorskip('mmpose.evaluation.functional.nms')
    sigmas = np.array([0.1, 0.2])
    by_class, _ = evaluation(
        keypoint_id2name={0: 'nose', 1: 'tail'}, sigmas=sigmas
    )
    sample = pose(3.0)
    by_class.see([sample])
    found = noted(by_class).classes
    kpts = [
        np.concatenate([x.keypoints[0], np.ones((2, 1))], 1).flatten()
        for x in (sample.gt_instances, sample.pred_instances)
    ]
    area = np.array(100.0)
    (oks,) = nms.oks_iou(kpts[0], kpts[1][None], area, area[None], sigmas)
    assert found
    nose, tail = found.metrics['OKS']
    assert nose and tail and (nose + tail) / 2 == pytest.approx(100 * oks)


def test_classes_stay_with_the_search_of_a_checkpoint(tmp_path: Path) -> None:
    """A run that is resumed after its last evaluation has them, too."""
    runner = tiny.Runner.from_cfg(tiny.config(tmp_path, max_iters=2))
    runner.train()
    search = tiny.search_of(runner)
    history = search.history
    history.confusion = Confusion(['a', 'b'], [[1, 2], [3, 4]])
    history.classes = ClassMetrics(['a'], dict(IoU=[None]))
    state = read_state(search.state_dict())
    assert isinstance(state, SearchState) and state.history == history
