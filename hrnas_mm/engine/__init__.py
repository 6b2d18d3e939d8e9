"""Hooks: when the search does what."""

from .progressive_shrink_hook import ProgressiveShrinkHook

__all__ = ['ProgressiveShrinkHook']
