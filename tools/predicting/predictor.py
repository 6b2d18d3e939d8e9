"""A model that predicts images with the test pipeline of its config."""

from copy import deepcopy
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

from .sources import Source

TRUTH = 'Annotation'  # in the name of what loads it
ALPHA = 0.5  # of a label map: the image has to be seen below it


class Unreadable(Exception):
    """An image that the test pipeline cannot load."""


class Predictor:
    """A model with the test pipeline and the visualizer of its config.

    Args:
        cfg: Config of a framework whose models read images.
        path: Checkpoint, or ONNX file that takes the place of the model's
            dense part.
        device: 'cpu' or 'cuda'.
        runtime: What runs the ONNX file; None for a checkpoint.

    Raises:
        ValueError: If the config is of another framework, has no test
            pipeline, or the file does not belong to it.
    """

    def __init__(
        self, cfg: Config, path: str, device: str, runtime: Runtime | None
    ) -> None:
        self._framework = framework_of(cfg)
        self._scope = cfg.get('default_scope')
        dataset = _dataset_of(cfg)
        if self._scope == 'mmdet3d':
            raise ValueError(
                f'{cfg.filename} must be of a model that reads images; of '
                'point clouds, tools/test.py --out writes the predictions'
            )
        fit_to_framework_(cfg)
        if runtime is None:
            self.model = load_network(cfg, path)
            meta = read_checkpoint(path).get('meta') or {}
        else:
            check_packages(runtime)
            self.model, meta = build_model(cfg), {}
        self._meta = _meta_of(dataset) | (meta.get('dataset_meta') or {})
        self.model.to(device)
        self.model.eval()
        if runtime is not None:
            predict_by_file_(self.model, path, runtime)
        transforms = [
            t for t in dataset.pipeline if TRUTH not in _name(t['type'])
        ]
        self._load = Compose(transforms[:1])
        self._prepare = Compose(transforms[1:])
        self._visualizer = self._visualizer_of(cfg)

    def _visualizer_of(self, cfg: Config) -> Any:
        described = deepcopy(cfg.get('visualizer') or {'type': 'Visualizer'})
        described.update(vis_backends=None, name='predict')
        visualizer: Any = VISUALIZERS.build(described)
        classes = self._meta.get('classes') or ()
        if self._scope == 'mmseg' and not self._meta.get('palette'):
            colours = np.random.RandomState(42)  # as mmseg does
            self._meta['palette'] = colours.randint(0, 255, (len(classes), 3))
        if self._scope == 'mmseg':
            visualizer.alpha = ALPHA
        visualizer.dataset_meta = self._meta
        if self._scope == 'mmpose':
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
        if source.frame is not None:
            size = source.frame.shape[:2]
            return dict(
                img=source.frame, img_path=source.path, img_shape=size,
                ori_shape=size, height=size[0], width=size[1],
            )  # fmt: skip
        try:
            data = self._load(dict(img_path=source.path))
        except Exception as error:
            text = str(error).strip() or type(error).__name__
            raise Unreadable(text) from error
        if data is None or data.get('img') is None:
            raise Unreadable('it is no image')
        return dict(data, img_path=source.path)

    @torch.no_grad()
    def predict(self, loaded: dict[str, Any]) -> BaseDataElement:
        """Return the prediction for what :meth:`load` returned, on the CPU.

        A top-down keypoint model takes the whole image for one person.
        """
        data = dict(loaded, img_id=0, sample_idx=0)
        if self._scope == 'mmpose':
            height, width = loaded['img'].shape[:2]
            box = np.array([[0, 0, width, height]], np.float32)
            data |= {**self._meta, 'bbox': box, 'bbox_score': np.ones(1, 'f')}
        batch = self._framework.collate([self._prepare(data)])
        model: Any = self.model
        return model.test_step(batch)[0].cpu()

    def overlay(self, source: Source, sample: Any) -> np.ndarray:
        """Return an image, RGB, with a prediction drawn over it."""
        if source.frame is None:
            image = mmcv.imread(source.path, channel_order='rgb')
        else:
            image = np.ascontiguousarray(source.frame[..., ::-1])
        options = dict(self._framework.draw_options, draw_gt=False)
        if self._framework.draws_together:  # mmpretrain's: it names classes
            options['classes'] = self.classes or None
        draw: Any = getattr(self._visualizer, self._framework.draws)
        drawn = draw(
            name='', image=image, data_sample=sample, show=False, **options
        )
        return self._visualizer.get_image() if drawn is None else drawn


def _dataset_of(cfg: Config) -> Any:
    """Return the test dataset that a config describes, out of all wrappers."""
    dataset = (cfg.get('test_dataloader') or {}).get('dataset')
    while dataset is not None and 'pipeline' not in dataset:
        inner = dataset.get('datasets') or [None]
        dataset = dataset.get('dataset') or inner[0]
    if dataset is None:
        raise ValueError(
            f'{cfg.filename} must have a test_dataloader with a pipeline'
        )
    return dataset


def _meta_of(dataset: Any) -> dict[str, Any]:
    """Return what a dataset says of its classes, without its data."""
    kind = dataset['type']
    if isinstance(kind, str):
        with DATASETS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    return dict(kind._load_metainfo(dataset.get('metainfo')))


def _name(kind: Any) -> str:
    return kind if isinstance(kind, str) else kind.__name__
