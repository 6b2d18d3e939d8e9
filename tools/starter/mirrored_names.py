"""Names of left and right keypoints, however they are spelt."""

import re
from collections.abc import Iterator, Sequence

# The longest first; in every spelling the left one stands first.
SIDES = (('left', 'right'), ('lft', 'rgt'), ('lt', 'rt'), ('l', 'r'))
# 'LEye', 'eyeL', 'left-eye', 'LEFT_EYE', 'leftEye2'
WORD = re.compile(
    '[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^\\W\\d_]+'
)


def mirrored(names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the keypoint that a flip puts in the place of each.

    Args:
        names: Names of all keypoints.

    Returns:
        The other name of a pair, or the name itself; and the names that have
        a side, but no other of theirs.
    """
    by_words = {_words(name): name for name in names}
    swaps = {name: name for name in names}
    for name in names:
        for other in _opposites(_words(name)):
            if other in by_words and swaps[name] == name:
                swaps[name] = by_words[other]
    # Only what both ends agree on is a pair.
    swaps = {
        name: other if swaps[other] == name else name
        for name, other in swaps.items()
    }
    lonely = [
        name
        for name, other in swaps.items()
        if name == other and any(map(_is_side, _words(name)))
    ]
    return swaps, lonely


def _is_side(word: str) -> bool:
    longest = SIDES[0]
    return (
        any(word in pair for pair in SIDES)
        or word.startswith(longest)
        or word.endswith(longest)
    )


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in WORD.findall(name))


def _opposites(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield what words would be on the other side, the surest first.

    A side is a word, or it begins or ends one.
    """
    pairs = [pair for side in SIDES for pair in (side, side[::-1])]
    for here, there in pairs:
        if here in words:
            yield tuple(there if word == here else word for word in words)
    for here, there in pairs:
        for i, word in enumerate(words):
            if word.startswith(here):
                changed = there + word.removeprefix(here)
                yield (*words[:i], changed, *words[i + 1 :])
            if word.endswith(here):
                changed = word.removesuffix(here) + there
                yield (*words[:i], changed, *words[i + 1 :])
