"""Registered classes."""

from .backbones import HRNASSupernet

__all__ = ['HRNASSupernet']
