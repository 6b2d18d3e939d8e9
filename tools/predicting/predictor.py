"""A model that predicts images with the test pipeline of its config."""

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, VISUALIZERS
from mmengine.structures import BaseDataElement

from hrnas_mm.building import (
    build_model,
    fit_to_framework_,
    load_network,
)
from hrnas_mm.files import read_checkpoint
from hrnas_mm.frameworks import framework_of
from hrnas_mm.runtimes import Runtime, check_packages
from hrnas_mm.runtimes.exported import predict_by_file_
from hrnas_mm.runtimes.file_facts import read_facts

from .sources import Source
from .writing import LABEL_MAP

LOADS, TRUTH = 'Load', 'Annotation'  # in the names of transforms
KNOWN = ('classes',)  # what an ONNX file knows of its data
ALPHA = 0.5  # of a label map: the image has to be seen below it


class Unreadable(Exception):
    """An image that the test pipeline cannot load."""


class Predictor:
    """A model with the test pipeline and the visualizer of its config.

    Args:
        cfg: Config of a framework whose models read images.
        path: Checkpoint, or ONNX file that takes the place of the model's
            dense part.
        device: 'cpu' or 'cuda', for a checkpoint.
        runtime: What runs the ONNX file; None for a checkpoint.

    Raises:
        ValueError: If the config is of another framework, has no visualizer
            or no test pipeline that loads an image, or the file does not
            belong to it.
    """

    def __init__(
        self, cfg: Config, path: str, device: str, runtime: Runtime | None
    ) -> None:
        self._framework = framework_of(cfg)
        dataset = _dataset_of(cfg)
        if not self._framework.reads_images:
            raise ValueError(
                f'{cfg.filename} must be of a model that reads images; of '
                'point clouds, tools/test.py --out writes the predictions'
            )
        if not cfg.get('visualizer'):
            raise ValueError(f'{cfg.filename} must have a visualizer')
        if device.startswith('cuda') and not torch.cuda.is_available():
            raise ValueError(
                f'--device must be cpu without a GPU, got {device}'
            )
        fit_to_framework_(cfg)
        if runtime is None:
            self._model: Any = load_network(cfg, path).to(device)
            meta = read_checkpoint(path).get('meta') or {}
            known = meta.get('dataset_meta') or {}
        else:
            check_packages(runtime)
            self._model = build_model(cfg)
            texts = read_facts(path).metadata
            known = {k: json.loads(v) for k, v in texts.items() if k in KNOWN}
        self._model.eval()  # not chained: some models' eval() returns None
        if runtime is not None:
            predict_by_file_(self._model, path, runtime)
        self._meta = _meta_of(dataset) | known
        first, *others = _without_truth(dataset.pipeline)
        if LOADS not in _name(first):
            raise ValueError(
                f'the test pipeline of {cfg.filename} must load an image '
                f'first, got {_name(first)}'
            )
        self._load, self._prepare = Compose([first]), Compose(others)
        self._visualizer = self._visualizer_of(cfg)

    def _visualizer_of(self, cfg: Config) -> Any:
        described = deepcopy(cfg.visualizer)
        self._has_alpha = 'alpha' in described
        described.update(vis_backends=None, name='predict')
        visualizer: Any = VISUALIZERS.build(described)
        visualizer.dataset_meta = self._meta
        if self._framework.poses:
            visualizer.set_dataset_meta(self._meta)
        return visualizer

    @property
    def classes(self) -> list[str]:
        """Return the names of the classes."""
        return list(self._meta.get('classes') or ())

    def load(self, source: Source) -> dict[str, Any]:
        """Return an image as the first step of the pipeline loads it.

        Raises:
            Unreadable: If it cannot.
        """
        try:
            data = self._load(dict(img_path=source.path))
        except Exception as error:
            text = str(error).strip() or type(error).__name__
            raise Unreadable(text) from error
        if data is None or data.get('img') is None:
            raise Unreadable('it is no image')
        return dict(data)

    @torch.no_grad()
    def predict(
        self, loaded: Mapping[str, Any], boxes: Any = None
    ) -> BaseDataElement:
        """Return the prediction for what :meth:`load` returned, on the CPU.

        Args:
            loaded: The image.
            boxes: Boxes of persons, shape (N, 4), x1 y1 x2 y2 in pixels, for
                a top-down keypoint model; None for the whole image as one.

        Raises:
            ValueError: If an ONNX file reads images of another size.
        """
        data = [dict(loaded, img_id=0, sample_idx=0)]
        if self._framework.poses:
            height, width = loaded['img'].shape[:2]
            whole = [[0, 0, width, height]]
            boxes = np.array(whole if boxes is None else boxes, np.float32)
            score = np.ones(1, np.float32)
            data = [
                {**data[0], **self._meta, 'bbox': b[None], 'bbox_score': score}
                for b in boxes
            ]
        if not data:
            return BaseDataElement()
        batch = self._framework.collate([self._prepare(each) for each in data])
        samples: Any = [each.cpu() for each in self._model.test_step(batch)]
        if self._framework.poses:
            from mmpose.structures import merge_data_samples  # only there

            return merge_data_samples(samples)
        return samples[0]

    def overlay(
        self, source: Source, loaded: Mapping[str, Any], sample: Any
    ) -> np.ndarray:
        """Return an image, RGB, with a prediction drawn over it."""
        image = loaded['img']
        if image.dtype != np.uint8 or image.shape[2:] != (3,):
            image = mmcv.imread(source.path)
        if LABEL_MAP in sample:
            self._show_classes_()
        image = np.ascontiguousarray(image[..., ::-1])
        if not sample.keys():  # no person
            return image
        options = dict(self._framework.draw_options, draw_gt=False)
        if self._framework.draws_together:  # mmpretrain's: it names classes
            options['classes'] = self.classes or None
        draw: Any = getattr(self._visualizer, self._framework.draws)
        drawn = draw(
            name='',
            image=image,
            data_sample=sample,
            show=False,
            **options,
        )
        return self._visualizer.get_image() if drawn is None else drawn

    def _show_classes_(self) -> None:
        """Let label maps have colours, and images be seen below them."""
        if not self._has_alpha:
            self._visualizer.alpha = ALPHA
        if not self.classes:
            head = self._model.decode_head
            self._meta['classes'] = list(map(str, range(head.num_classes)))
        if len(self._meta.get('palette') or ()) < len(self.classes):
            colours = np.random.RandomState(42)  # as mmseg does
            shape = len(self.classes), 3
            self._meta['palette'] = colours.randint(0, 255, shape).tolist()


def _dataset_of(cfg: Config) -> Any:
    """Return the test dataset that a config describes, out of all wrappers."""
    dataset = (cfg.get('test_dataloader') or {}).get('dataset')
    while dataset is not None and 'pipeline' not in dataset:
        inner = dataset.get('datasets') or [None]
        dataset = dataset.get('dataset') or inner[0]
    if dataset is None or not dataset.pipeline:
        raise ValueError(
            f'{cfg.filename} must have a test_dataloader with a pipeline'
        )
    return dataset


def _without_truth(transforms: Any) -> list[Any]:
    """Return the steps of a pipeline but for those that load annotations."""
    found = []
    for each in transforms:
        if TRUTH in _name(each):
            continue
        inner = each.get('transforms')
        if isinstance(inner, (list, tuple)):
            each = dict(each, transforms=_without_truth(inner))
        found.append(each)
    return found


def _meta_of(dataset: Any) -> dict[str, Any]:
    """Return what a dataset says of its classes, without its data."""
    kind, metainfo = dataset['type'], dataset.get('metainfo')
    if isinstance(kind, str):
        with DATASETS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    load = getattr(kind, '_load_metainfo', None)
    found = dict(load(metainfo) if load else metainfo or {})
    classes = dataset.get('classes')  # mmpretrain's, also the path of a file
    if isinstance(classes, str):
        classes = Path(classes).read_text().split('\n')
    return found | dict(classes=classes) if classes else found


def _name(transform: Any) -> str:
    kind = transform['type']
    return kind if isinstance(kind, str) else kind.__name__
