"""The decision records cite tests that exist and print what they say."""

import ast
import re
from pathlib import Path

import pytest
from command_line import checked

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / 'docs/decisions'
RECORDS = sorted(FOLDER.glob('[!R]*.md'))


def test_the_index_lists_them():
    index = (FOLDER / 'README.md').read_text()
    assert set(re.findall(r'\]\(([\w-]+\.md)\)', index)) == {
        path.name for path in RECORDS
    }


@pytest.mark.parametrize('record', RECORDS, ids=lambda path: path.stem)
def test_cited_tests_exist(record):
    cited = re.findall(r'`(tests/[\w/]+\.py)::(\w+)`', record.read_text())
    assert cited
    for path, name in cited:
        tree = ast.parse((ROOT / path).read_text())
        found = [x.name for x in tree.body if isinstance(x, ast.FunctionDef)]
        assert name in found, path


def test_a_worker_holds_flock_but_not_lockf(tmp_path):
    text = (FOLDER / 'locks-by-lockf.md').read_text()
    (code,) = re.findall(r'```python\n(.*?)```', text, re.S)
    (printed,) = re.findall(r'```text\n(.*?)```', text, re.S)
    (tmp_path / 'locks.py').write_text(code)
    assert checked('locks.py', cwd=tmp_path) == printed
