"""Backbones and necks that configs can name."""

from .backbones import HRNASSupernet, with_transformers
from .necks import HRNASFuseScales

__all__ = ['HRNASFuseScales', 'HRNASSupernet', 'with_transformers']
