"""HR-NAS (Ding et al., CVPR 2021) for OpenMMLab."""

from . import engine, models
from .compat import define_torchvision_ops, enlarge_onednn_cache
from .version import __version__

define_torchvision_ops()
enlarge_onednn_cache()

__all__ = ['__version__', 'engine', 'models']
