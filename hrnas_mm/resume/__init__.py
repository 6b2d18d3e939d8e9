"""Exact resume of any run of mmengine's Runner, with or without a search."""

from .exact_resume_hook import ExactResumeHook, resume_exactly_

__all__ = ['ExactResumeHook', 'resume_exactly_']
