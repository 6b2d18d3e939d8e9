"""Suggestions for misspelt names."""

from collections.abc import Iterable
from difflib import get_close_matches


def like(name: str, known: Iterable[str]) -> str:
    """Return a suggestion for a misspelt name, to end an error message."""
    found = get_close_matches(str(name)[:999], list(known), 1)
    return f'; did you mean {found[0]!r}?' if found else ''
