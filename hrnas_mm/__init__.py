"""HR-NAS (Ding et al., CVPR 2021) for OpenMMLab."""

from . import engine, models
from .version import __version__

__all__ = ['__version__', 'engine', 'models']
