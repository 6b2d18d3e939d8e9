"""HR-NAS (Ding et al., CVPR 2021) for OpenMMLab.

``hrnas_mm.search`` and ``hrnas_mm.modules`` are plain torch, and work without
OpenMMLab; all else needs mmengine and mmcv.
"""

from importlib.util import find_spec

from .compat_torch import define_torchvision_ops, enlarge_onednn_cache
from .version import __version__, check_mmengine

define_torchvision_ops()
enlarge_onednn_cache()

if find_spec('mmengine'):
    check_mmengine()

    from . import engine, models, resume  # noqa: F401  (they register)
    from .compat import find_configs_of_forks_, ignore_pkg_resources

    ignore_pkg_resources()
    find_configs_of_forks_()

__all__ = ['__version__']
