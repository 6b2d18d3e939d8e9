"""From what was found to a config that trains as it is."""

import textwrap
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .found import Found
from .plan import plan_for

TEMPLATES = Path(__file__).with_name('templates')


def config_for(
    found: Found, root: str, target: float | str = 0.25, **wanted: Any
) -> tuple[str, list[str]]:
    """Return the text of a config, and what it assumes.

    Args:
        found: See :func:`~starter.find`.
        root: The folder of the data.
        target: Of the search.
        wanted: See :func:`plan_for`.
    """
    plan = plan_for(found, target, **wanted)
    notes = [*found.notes, *plan.notes]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(repr=repr, comment=_comment)
    text = environment.get_template(f'{found.task}.py.j2').render(
        root=root.rstrip('/'),
        notes=notes,
        plan=plan,
        per_epoch=max(1, found.images // plan.batch_size),
        **found.facts,
    )
    return text, notes


def _comment(text: str, mark: str = '') -> str:
    """Write a sentence as a comment, the lines after the first indented."""
    return textwrap.fill(
        text,
        79,
        initial_indent=f'# {mark}',
        subsequent_indent='# ' + ' ' * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )
