"""Backbones and necks that configs can name."""

from .backbones import HRNASSupernet, searchable, with_transformers
from .necks import HRNASFuseScales

__all__ = [
    'HRNASFuseScales',
    'HRNASSupernet',
    'searchable',
    'with_transformers',
]
