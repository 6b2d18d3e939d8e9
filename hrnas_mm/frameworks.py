"""What differs from framework to framework: a row for each."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import default_collate, pseudo_collate

from .compat_mmdet3d import mend_mmdet3d_


def _torchvision() -> str:
    """Return the command that installs the torchvision of this torch.

    Without its dependencies, as it would bring another build of torch.
    """
    minor, patch = re.findall(r'\d+', torch.__version__)[1:3]
    pair = f'0.{int(minor) + 15}.{patch}'
    return f'pip install --no-deps torchvision=={pair}'


_TORCHVISION = _torchvision()


@dataclass(frozen=True)
class DataSite:
    """Where a benchmark's data comes from.

    Args:
        layout: Of ``tools/make_demo_data.py``, to only try it.
        home: A sentence with its home page, and what is to be done then.
    """

    layout: str
    home: str


@dataclass(frozen=True)
class Framework:
    """What has to be known of a framework that trains our models.

    Args:
        install: The command that installs it.
        imports: The commands that install what it imports but does not bring,
            by the names of the packages.
        data: Where its data sets come from, by their types.
        heads: The names of its models' heads that take a feature map.
        detects: Whether its models with such a head take more than an image.
        reads_images: Whether its models take images at all.
        poses: Whether its models find keypoints, some in a box of the image.
        collate: What makes a batch of its samples, where the loader of a
            config does not say.
        mend_: Works around its defects; called before its data is used.
        draws: The method of its visualizer that draws a prediction.
        draw_options: Further arguments of this method.
        draws_together: Whether one picture has the truth and the prediction.
    """

    install: str
    imports: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, DataSite] = field(default_factory=dict)
    heads: tuple[str, ...] = ()
    detects: bool = False
    reads_images: bool = True
    poses: bool = False
    collate: Callable[..., Any] = pseudo_collate
    mend_: Callable[[], None] = lambda: None
    draws: str = 'add_datasample'
    draw_options: Mapping[str, Any] = field(default_factory=dict)
    draws_together: bool = False


FRAMEWORKS = dict(
    mmseg=Framework(
        install="pip install 'hrnas_mm[seg]'",
        data=dict(
            CityscapesDataset=DataSite(
                'cityscapes',
                'Cityscapes is at https://www.cityscapes-dataset.com; then '
                "run mmseg's tools/dataset_converters/cityscapes.py.",
            ),
            ADE20KDataset=DataSite(
                'ade20k',
                'ADE20K is at http://data.csail.mit.edu/places/ADEchallenge/'
                'ADEChallengeData2016.zip.',
            ),
        ),
        # Placing a name in each region takes a second per picture.
        draw_options=dict(with_labels=False),
    ),
    mmpose=Framework(
        install="pip install 'hrnas_mm[pose]' && "
        'pip install --no-deps mmpose==1.3.2 && ' + _TORCHVISION,
        imports=dict(torchvision=_TORCHVISION),
        data=dict(
            CocoDataset=DataSite(
                'coco',
                'COCO is at https://cocodataset.org; detector boxes for '
                "keypoints are linked from mmpose's page of COCO.",
            )
        ),
        heads=('head',),
        poses=True,
    ),
    mmdet3d=Framework(
        install="pip install 'hrnas_mm[det3d]' && "
        'pip install --no-deps mmdet3d==1.4.0',
        data=dict(
            KittiDataset=DataSite(
                'kitti',
                'KITTI is at https://www.cvlibs.net/datasets/kitti; then run '
                "mmdet3d's tools/create_data.py kitti.",
            )
        ),
        heads=('bbox_head',),
        detects=True,
        reads_images=False,
        mend_=mend_mmdet3d_,
    ),
    mmpretrain=Framework(
        install="pip install 'hrnas_mm[cls]' && " + _TORCHVISION,
        imports=dict(torchvision=_TORCHVISION),
        data=dict(
            ImageNet=DataSite(
                'imagenet',
                'ImageNet is at '
                'https://www.image-net.org/challenges/LSVRC/2012.',
            )
        ),
        collate=default_collate,
        draws='visualize_cls',
        draw_options=dict(resize=300),  # else its text cannot be read
        draws_together=True,
    ),
    mmdet=Framework(
        install="pip install 'hrnas_mm[det]'",
        heads=('bbox_head', 'rpn_head'),
        detects=True,
    ),
)

_OTHER = Framework(install='')
# Heads that take a feature map; models with one of the former take more than
# an image.
DETECTION_HEADS, OTHER_HEADS = (
    tuple(
        dict.fromkeys(
            head
            for framework in FRAMEWORKS.values()
            if framework.detects is detects
            for head in framework.heads
        )
    )
    for detects in (True, False)
)
HEADS = (*DETECTION_HEADS, *OTHER_HEADS)


def framework_of(cfg: Config) -> Framework:
    """Return the framework of a config's ``default_scope``.

    A config without one, in pure Python, is of the framework that has the
    class of its model.
    """
    scope = cfg.get('default_scope')
    if scope is None:
        kind = (cfg.get('model') or {}).get('type', '')
        path = kind if isinstance(kind, str) else kind.__module__
        scope = path.split('.')[0]
    return FRAMEWORKS.get(scope, _OTHER)


def data_site(kind: str | type) -> DataSite | None:
    """Return where a data set comes from.

    Args:
        kind: Its type in a config, a class or its name; a scope may stand
            before the name.
    """
    name = kind if isinstance(kind, str) else kind.__name__
    rows = (row.data.get(name.split('.')[-1]) for row in FRAMEWORKS.values())
    return next(filter(None, rows), None)
