"""Write a config that trains as it is, from a summary of the data."""

import json
import os
import os.path as osp
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hrnas_mm.files import replacing

from .network import IMAGENET, Network
from .recipe import recipe_for
from .summary import DataSummary

TEMPLATES = Path(__file__).with_name('templates')


class Draft(NamedTuple):
    """A config, and what goes with it.

    Attributes:
        text: Text of the config.
        notes: What was found and assumed, in sentences.
        copies: Content of the annotation files to write, by their paths.
    """

    text: str
    notes: list[str]
    copies: dict[str, Any]


def config_for(
    summary: DataSummary,
    root: str,
    out: str,
    target: float | str = 0.25,
    network: Network | None = None,
    **wanted: Any,
) -> Draft:
    """Draft a config that trains as it is.

    Args:
        summary: Summary of the data.
        root: Folder of the data.
        out: File of the config, beside which copies of annotations are.
        target: Target of the search, as a config writes it.
        network: Stock network to begin with; None for a supernet.
        wanted: See :func:`recipe_for`.
    """
    recipe = recipe_for(summary, target, **wanted)
    if network:
        network.check_size(summary.task, recipe.size)
    folder = f'{osp.splitext(out)[0]}_annotations'
    copies = {
        split: osp.join(
            folder, split + ('.txt' if isinstance(content, str) else '.json')
        )
        for split, content in summary.copies.items()
    }
    notes = [
        *summary.notes,
        *(network.notes if network else ()),
        *recipe.notes,
    ]
    notes += [
        f'Written beside the config: {path}.' for path in copies.values()
    ]
    facts = dict(summary.facts)
    if copies:
        own = {split: _below(path, root) for split, path in copies.items()}
        facts['files'] = {**facts['files'], **own}
    text = (
        _templates()
        .get_template(f'{summary.task}.py.j2')
        .render(
            root=root.rstrip('/'),
            notes=notes,
            recipe=recipe,
            network=network,
            pixels=network.pixels if network else IMAGENET,
            per_epoch=max(1, summary.images // recipe.batch_size),
            **facts,
        )
    )
    contents = {copies[s]: summary.copies[s] for s in copies}
    return Draft(text, notes, contents)


def write(draft: Draft, out: str) -> None:
    """Write a config and its copies of annotations, each whole or not."""
    for path, content in draft.copies.items():
        os.makedirs(osp.dirname(path), exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        _write(path, text)
    _write(out, draft.text)


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        repr=repr, comment=_comment, under_root=_under_root, code=_code
    )
    return environment


def _write(path: str, text: str) -> None:
    with replacing(path) as new, open(new, 'w', encoding='utf-8') as file:
        file.write(text)


def _below(path: str, root: str) -> str:
    """Return a path as a dataset needs it that begins with its data_root."""
    if osp.isabs(root):
        return osp.abspath(path)
    # The system goes up from where a link leads.
    return osp.relpath(osp.realpath(path), osp.realpath(root))


def _under_root(path: str) -> str:
    """Write the path of a file of the data."""
    return repr(path) if osp.isabs(path) else f'data_root + {"/" + path!r}'


def _code(value: Any, indent: int = 0, before: int = 0) -> str:
    """Write a value of a config in Python, as configs are laid out.

    Args:
        value: The value.
        indent: Blanks before its lines after the first.
        before: Characters before its first line, without these blanks.
    """
    if not isinstance(value, dict) or not all(
        isinstance(key, str) and key.isidentifier() for key in value
    ):
        return repr(value)
    pairs = [(f'{key}=', item) for key, item in value.items()]
    line = f'dict({", ".join(key + _code(item) for key, item in pairs)})'
    if indent + before + len(line) < 79:
        return line
    deeper = indent + 4
    lines = [
        f'{" " * deeper}{key}{_code(item, deeper, len(key))},\n'
        for key, item in pairs
    ]
    return f'dict(\n{"".join(lines)}{" " * indent})'


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
