"""Necks."""

from .fuse_scales import HRNASFuseScales

__all__ = ['HRNASFuseScales']
