"""Backbones."""

from .hrnas_supernet import HRNASSupernet
from .searchable import searchable
from .with_transformers import with_transformers

__all__ = ['HRNASSupernet', 'searchable', 'with_transformers']
