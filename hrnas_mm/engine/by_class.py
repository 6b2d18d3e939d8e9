"""Metrics by class, from the evaluations of a run."""

from collections.abc import Mapping
from typing import Any

from mmengine.dist import get_rank, get_world_size
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from .class_metrics import ClassMetricsRecorder, boxes_of_kitti
from .confusion import ConfusionCounter
from .similarity import KeypointSimilarity
from .state import History


class ByClass:
    """Metrics by class, and the classes confused, of each evaluation.

    Args:
        runner: The runner, at the start of its training.
    """

    def __init__(self, runner: Runner) -> None:
        loader: Any = runner.val_loop and runner.val_dataloader
        metainfo = getattr(loader and loader.dataset, 'metainfo', {})
        classes = [str(name) for name in metainfo.get('classes') or ()]
        evaluator = runner.val_loop and runner.val_evaluator
        metrics = getattr(evaluator, 'metrics', [])
        self._metrics = ClassMetricsRecorder(metrics)
        self._confusion = ConfusionCounter(classes, metrics)
        self._similarity = KeypointSimilarity(metainfo)
        self._size = len(loader.dataset) if loader else 0
        self._seen = 0

    def begin(self) -> None:
        """Begin with an evaluation."""
        self._metrics.restart_()
        self._confusion.restart_()
        self._similarity.restart_()
        self._seen = get_rank()

    def see(self, outputs: Any) -> None:
        """Look at what the model says of a batch."""
        if not isinstance(outputs, (list, tuple)):
            return
        for output in outputs:
            # The sampler repeats images until all processes have as many.
            if self._seen < self._size and isinstance(output, BaseDataElement):
                self._confusion.count(output)
                self._similarity.measure(output)
            self._seen += get_world_size()

    def note(self, history: History, metrics: Mapping[str, Any]) -> None:
        """Note what the evaluation told; called by all processes."""
        history.confusion = self._confusion.total()
        keypoints = self._similarity.total()
        found = self._metrics.found() or boxes_of_kitti(metrics)
        history.classes = found or keypoints

    def remove(self) -> None:
        """Give the metrics their methods back."""
        self._metrics.remove()
