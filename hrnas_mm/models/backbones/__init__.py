"""Backbones."""

from .hrnas_supernet import HRNASSupernet
from .with_transformers import with_transformers

__all__ = ['HRNASSupernet', 'with_transformers']
