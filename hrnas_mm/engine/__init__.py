"""The search on mmengine's Runner: its hook, and what the hook calls."""

from .merged_groups import MergedGroupsConstructor
from .progressive_shrink_hook import ProgressiveShrinkHook

__all__ = ['MergedGroupsConstructor', 'ProgressiveShrinkHook']
