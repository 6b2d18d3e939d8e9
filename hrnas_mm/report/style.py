"""Colours that colour-blind readers can tell apart, and labels."""

# Source: Okabe and Ito, Color Universal Design, 2008.
COLOURS = dict(
    k3='#56B4E9',
    k5='#0072B2',
    k7='#009E73',
    tokens='#E69F00',
    k1='#CC79A7',
    k9='#F0E442',
    k11='#D55E00',
)
OTHER = '#000000'
REMOVED, EMPTY, LINE = '#E4E4E4', '#B0B0B0', '#9A9A9A'
BLUE, ORANGE = '#0072B2', '#D55E00'


def colour_of(kind: str) -> str:
    """Return the colour of a kind of unit: k3, k5, ..., tokens."""
    return COLOURS.get(kind, OTHER)


def label_of(kind: str) -> str:
    """Return the label of a kind of unit: 3x3 for k3."""
    size = kind[1:]
    return f'{size}x{size}' if size.isdigit() else kind


def drawn(text: str) -> str:
    """Return a text in the form that matplotlib draws literally.

    A dollar sign would begin a formula, and characters that are not valid in
    UTF-8, such as in names of files, have no glyphs.
    """
    return text.encode(errors='replace').decode().replace('$', r'\$')
