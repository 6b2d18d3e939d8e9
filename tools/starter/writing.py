"""Write a config that trains as it is, from a summary of the data."""

import textwrap
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .recipe import recipe_for
from .summary import DataSummary

TEMPLATES = Path(__file__).with_name('templates')


def config_for(
    summary: DataSummary, root: str, target: float | str = 0.25, **wanted: Any
) -> tuple[str, list[str]]:
    """Return the text of a config, and what it assumes.

    Args:
        summary: Summary of the data.
        root: Folder of the data.
        target: Target of the search, as a config writes it.
        wanted: See :func:`recipe_for`.
    """
    recipe = recipe_for(summary, target, **wanted)
    notes = [*summary.notes, *recipe.notes]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(repr=repr, comment=_comment)
    text = environment.get_template(f'{summary.task}.py.j2').render(
        root=root.rstrip('/'),
        notes=notes,
        recipe=recipe,
        per_epoch=max(1, summary.images // recipe.batch_size),
        **summary.facts,
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
