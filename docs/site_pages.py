"""The site's pages from files that GitHub shows as well, for mkdocs.yml."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from griffe import Class, Extension, Function, Module, Object
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pygments.formatters import HtmlFormatter

ROOT = Path(__file__).parents[1]
# Files outside docs/ that are pages of the site, too.
PAGES = {
    'README.md': 'index.md',
    'CHANGELOG.md': 'changelog.md',
    'CONTRIBUTING.md': 'contributing.md',
    'SECURITY.md': 'security.md',
    'configs/README.md': 'configs.md',
}
SOURCES = {page: source for source, page in PAGES.items()}
LINK = re.compile(r'(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)')
ROLE = re.compile(r':(?:attr|class|data|func|meth|mod):`~?([\w.]+)`')
CODE = re.compile(r'(```.*?```|`[^`\n]*`)', re.S)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages whose files lie outside docs/, and the colours of code."""
    for source, page in PAGES.items():
        content = (ROOT / source).read_text()
        files.append(File.generated(config, page, content=content))
    style = HtmlFormatter().get_style_defs('.highlight')
    files.append(File.generated(config, 'pygments.css', content=style))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Make links lead to where the files lie on the site."""
    path = page.file.src_uri
    source = SOURCES.get(path, f'docs/{path}')

    def moved(link: re.Match[str]) -> str:
        mark, text, target, anchor = link.groups(default='')
        if not target or '://' in target:
            return link[0]
        folder = posixpath.dirname(source)
        file = posixpath.normpath(posixpath.join(folder, target))
        if file not in PAGES and not file.startswith('docs/'):
            return f'{text} (`{file}`)' if text != file else f'`{file}`'
        site = PAGES.get(file, file.removeprefix('docs/'))
        start = posixpath.dirname(path) or '.'
        return f'{mark}[{text}]({posixpath.relpath(site, start)}{anchor})'

    parts = CODE.split(markdown)
    parts[::2] = (LINK.sub(moved, part) for part in parts[::2])
    return ''.join(parts)


class Roles(Extension):
    """Turn the roles of Sphinx in docstrings into code of Markdown."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """Change all docstrings of the package."""
        for node in _objects(pkg):
            if node.docstring is not None:
                node.docstring.value = ROLE.sub(
                    lambda role: f'`{role[1].rpartition(".")[2]}`',
                    node.docstring.value,
                )


def _objects(node: Object) -> Iterator[Object]:
    yield node
    for member in node.members.values():
        if isinstance(member, (Class, Function, Module)):
            yield from _objects(member)
