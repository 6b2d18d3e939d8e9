"""Pictures for the report, drawn by the framework's visualizer."""

import os
import os.path as osp
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import Any

import mmcv
import torch
import torch.nn.functional as F
from mmengine.dist import get_world_size, is_main_process
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor, nn

from ..deploy.metadata import normalisation_of
from ..files import replacing
from ..frameworks import framework_of
from ..report.pictures import (
    BATCH,
    BOTH,
    COUNT,
    PREDICTION,
    PREDICTIONS,
    TRUTH,
    picture_path,
)
from ..resume.rng import forked_rng
from ..runners import bare_model

LARGEST = 640  # pixels of a side
ALPHA = 0.5  # of a label map: the image has to be seen below it
LABEL_MAPS = ('gt_sem_seg', 'pred_sem_seg')
SHAPES = ((1,), (3,))  # of channels: grey or coloured
SHOWN = {
    TRUTH: dict(draw_gt=True, draw_pred=False),
    PREDICTION: dict(draw_gt=False, draw_pred=True),
    BOTH: {},
}


class Pictures:
    """A training batch and some predictions, as pictures in the work_dir.

    They are of what the run sees in any case: nothing is loaded, computed or
    drawn at random for them. A framework that cannot draw, as mmdet3d without
    open3d, is left in peace.

    Args:
        runner: The runner, at the start of its training.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner, self._framework = runner, framework_of(runner.cfg)
        draw = getattr(runner.visualizer, self._framework.draws, None)
        self._draw: Any = draw if is_main_process() else None
        self._batch: list[tuple[Tensor, Any]] = []
        self._begun, self._handle = False, None
        self._evaluated, self._chosen = 0, range(0)
        if runner.iter == 0 and is_main_process():
            self._remove_old()

    def _remove_old(self) -> None:
        """Remove the pictures of another run in the same work_dir."""
        for folder in (PREDICTIONS, BATCH):
            for number in range(COUNT):
                for shows in SHOWN:
                    with suppress(OSError):
                        os.remove(self._path(folder, number, shows))

    def _path(self, folder: str, number: int, shows: str) -> str:
        return picture_path(
            osp.join(self._runner.work_dir, folder), number, shows
        )

    # A training batch

    def watch_batch(self) -> None:
        """Look at the first batch, before it is preprocessed.

        A resumed run keeps the pictures that it began with.
        """
        there = osp.exists(self._path(BATCH, 0, TRUTH))
        model: Any = bare_model(self._runner)
        preprocessor = getattr(model, 'data_preprocessor', None)
        wanted = not self._begun and self._draw is not None and not there
        if wanted and preprocessor is not None:
            self._handle = preprocessor.register_forward_hook(self._see_batch)
        self._begun = True

    @torch.compiler.disable
    def _see_batch(self, preprocessor: nn.Module, args: Any, out: Any) -> None:
        out = out if isinstance(out, dict) else {}
        images, samples = out.get('inputs'), out.get('data_samples')
        if not isinstance(images, Tensor) or images.shape[1:2] not in SHAPES:
            return  # of points, or of channels that are no colours
        if isinstance(samples, list):
            # Copies: the model may change them.
            self._batch = [
                (image.detach().clone(), deepcopy(sample))
                for image, sample in zip(images[:COUNT], samples)
            ]

    def draw_batch(self) -> None:
        """Draw the batch if it was seen in this iteration."""
        if self._handle is None:
            return
        self._handle.remove()
        self._handle = None
        model = bare_model(self._runner)
        with self._drawing(BATCH):
            for number, (tensor, sample) in enumerate(self._batch):
                image, options = _in_colours(tensor, model), {}
                if 'gt_fields' in sample:
                    # Its keypoints are those of the whole image.
                    sample.pop('gt_instances', None)
                    options['draw_heatmap'] = True
                self._write(BATCH, number, TRUTH, image, sample, **options)
        self._batch = []

    # Predictions

    def begin_evaluation(self) -> None:
        """Choose the images whose predictions are drawn."""
        loader: Any = self._runner.val_dataloader
        size = -(-len(loader.dataset) // get_world_size())
        self._evaluated = 0
        self._chosen = range(0, size, max(1, size // COUNT))[:COUNT]

    def see(self, outputs: Any) -> None:
        """Draw those of the predictions of a batch that were chosen."""
        if self._draw is None or not isinstance(outputs, (list, tuple)):
            return
        for i, output in enumerate(outputs, self._evaluated):
            path = getattr(output, 'img_path', None)  # of a lidar: no path
            if i in self._chosen and isinstance(path, str):
                with self._drawing(PREDICTIONS):
                    self._draw_prediction(self._chosen.index(i), output)
        self._evaluated += len(outputs)

    def _draw_prediction(self, number: int, output: BaseDataElement) -> None:
        image = mmcv.imread(output.img_path, channel_order='rgb')
        image, sample = _small(image, output)
        together = self._framework.draws_together
        for shows in (BOTH,) if together else (TRUTH, PREDICTION):
            self._write(PREDICTIONS, number, shows, image, sample)

    # Drawing

    @contextmanager
    def _drawing(self, folder: str) -> Iterator[None]:
        """Let no random number, and no failure, come to the run."""
        if self._draw is None:
            return
        visualizer: Any = self._runner.visualizer
        alpha = getattr(visualizer, 'alpha', None)
        try:
            with warnings.catch_warnings(), forked_rng(0):
                warnings.filterwarnings('ignore', '.* is out of bounds')
                yield
        except Exception as error:
            self._draw = None
            self._runner.logger.info(
                f'Search: the report has no pictures of {folder}: '
                f'{type(error).__name__}: {error}'
            )
        finally:
            if alpha is not None:
                visualizer.alpha = alpha

    def _write(
        self, folder: str, number: int, shows: str, image: Any, sample: Any,
        **options: Any,
    ) -> None:  # fmt: skip
        visualizer: Any = self._runner.visualizer
        if any(name in sample for name in LABEL_MAPS):
            visualizer.alpha = ALPHA
        path = self._path(folder, number, shows)
        os.makedirs(osp.dirname(path), exist_ok=True)
        with replacing(path) as new:
            self._draw(
                name=folder, image=image, data_sample=sample, out_file=new,
                show=False, **SHOWN[shows], **self._framework.draw_options,
                **options,
            )  # fmt: skip
            drawn = mmcv.imread(new)
            if max(drawn.shape[:2]) > LARGEST:
                mmcv.imwrite(mmcv.imrescale(drawn, (LARGEST, LARGEST)), new)


def palette_of(runner: Runner) -> dict[str, list[int]]:
    """Return the colours of classes, if the pictures do not name these."""
    if framework_of(runner.cfg).draw_options.get('with_labels', True):
        return {}
    dataset: Any = runner.train_dataloader.dataset
    metainfo = getattr(dataset, 'metainfo', {})
    pairs = zip(metainfo.get('classes') or (), metainfo.get('palette') or ())
    return {str(name): list(map(int, colour)) for name, colour in pairs}


def _in_colours(image: Tensor, model: nn.Module) -> Any:
    """Return a normalised image, shape (C, H, W), as RGB of 0 to 255."""
    mean, std, rgb = normalisation_of(model, len(image))
    pixels = image.float().cpu() * torch.tensor(std)[:, None, None]
    pixels = pixels + torch.tensor(mean)[:, None, None]
    pixels = pixels.clamp(0, 255).expand(3, -1, -1)
    if not rgb:
        pixels = pixels.flip(0)
    return pixels.permute(1, 2, 0).byte().numpy().copy()


def _small(image: Any, output: BaseDataElement) -> tuple[Any, BaseDataElement]:
    """Return an image and its sample on the CPU, label maps not too large.

    Scores, which are larger than all else, stay where they are.
    """
    data = {name: x for name, x in output.items() if name != 'seg_logits'}
    maps = [name for name in LABEL_MAPS if name in data]
    scale = min(1.0, LARGEST / max(image.shape[:2]))
    if maps:
        image = mmcv.imrescale(image, scale)
    for name in maps:
        labels = data[name].data[None].float()
        labels = F.interpolate(labels, image.shape[:2])[0].long()
        data[name] = PixelData(data=labels)
    return image, output.new(**data).cpu()
