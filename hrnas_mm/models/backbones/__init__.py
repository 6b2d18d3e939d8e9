"""Backbones."""

from .hrnas_supernet import HRNASSupernet

__all__ = ['HRNASSupernet']
