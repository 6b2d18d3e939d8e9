"""The search on mmengine's Runner: its hook, and what the hook calls."""

from .progressive_shrink_hook import ProgressiveShrinkHook

__all__ = ['ProgressiveShrinkHook']
