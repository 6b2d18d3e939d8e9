"""Names of classes, one per line of a file."""

import codecs
from pathlib import Path


def names_in(path: str) -> list[str]:
    """Return the lines of a text file that are not empty.

    Editors on Windows begin a file with a mark, or write Latin-1.
    """
    content = Path(path).read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode('utf-16' if wide else 'utf-8-sig')
    except UnicodeDecodeError:
        text = content.decode('latin-1')
    return [line.strip() for line in text.splitlines() if line.strip()]
