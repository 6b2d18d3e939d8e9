"""Suggestions for misspelt names, and plurals."""

from collections.abc import Iterable
from difflib import get_close_matches


def like(name: str, known: Iterable[str]) -> str:
    """Return a suggestion for a misspelt name, to end an error message."""
    by_lower = {each.lower(): each for each in known}
    found = get_close_matches(str(name)[:999].lower(), by_lower, 1)
    return f'; did you mean {by_lower[found[0]]!r}?' if found else ''


def counted(count: int, noun: str) -> str:
    """Return '1 image', '2 images', '3 classes'."""
    ending = 'es' if noun.endswith(('s', 'x', 'ch')) else 's'
    return f'{count} {noun}{ending * (count != 1)}'
