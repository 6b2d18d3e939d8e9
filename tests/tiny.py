"""A supernet, a model and a data set that train in milliseconds."""
import random

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from torch import nn

from hrnas_mm.models import HRNASSupernet

SUPERNET = dict(
    stem_channels=(4, 6),
    stages=(
        dict(num_blocks=(1, ), num_channels=(6, )),
        dict(num_blocks=(1, 1), num_channels=(4, 8)),
    ),
    kernel_sizes=(3, 5),
    expand_ratio=2,
    num_tokens=4,
    token_size=4,
    transformer=dict(head_dims=8, ffn_dims=16),
    fuse_channels=6)


def supernet(**options):
    return HRNASSupernet(**{**SUPERNET, **options})


@MODELS.register_module()
class TinyModel(BaseModel):
    """Segments four classes; dropout draws from torch's generator."""

    def __init__(self, backbone, data_preprocessor=None, dropout=0.1):
        super().__init__(data_preprocessor)
        self.backbone = MODELS.build(backbone)
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(6, 4, 1)

    def forward(self, inputs, labels=None, mode='tensor'):
        logits = self.head(self.dropout(self.backbone(inputs)[0]))
        if mode == 'loss':
            logits = F.interpolate(logits, labels.shape[-2:])
            return dict(loss_ce=F.cross_entropy(logits, labels))
        if mode == 'predict':
            logits = F.interpolate(logits, labels.shape[-2:])
            return list(zip(logits.argmax(1), labels))
        return logits


@DATASETS.register_module()
class TinyData(BaseDataset):
    """Squares whose brightness tells the class, augmented at random."""

    def __init__(self, count=24, channels=3):
        self.channels = channels
        self.count = count
        super().__init__()

    def load_data_list(self):
        return [dict(seed=i) for i in range(self.count)]

    def prepare_data(self, index):
        rng = np.random.default_rng(index)
        labels = np.kron(rng.integers(0, 4, (2, 2)), np.ones((16, 16), int))
        image = labels + rng.normal(0, 0.1, (self.channels, 32, 32))
        image += np.random.normal(0, 0.1)
        if random.random() < 0.5:
            image, labels = image[..., ::-1], labels[..., ::-1]
        return dict(
            inputs=torch.tensor(image.copy(), dtype=torch.float32),
            labels=torch.tensor(labels.copy()))
