"""The decision records cite tests that exist and print what they say."""

import ast
import re
from pathlib import Path

import pytest
from command_line import checked

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / 'docs/decisions'
RECORDS = sorted(FOLDER.glob('[!R]*.md'))


def test_the_index_lists_them() -> None:
    index = (FOLDER / 'README.md').read_text()
    assert set(re.findall(r'\]\(([\w-]+\.md)\)', index)) == {
        path.name for path in RECORDS
    }


@pytest.mark.parametrize('record', RECORDS, ids=lambda path: path.stem)
def test_cited_tests_exist(record: Path) -> None:
    cited = re.findall(r'`(tests/[\w/]+\.py)::(\w+)`', record.read_text())
    assert cited
    for path, name in cited:
        tree = ast.parse((ROOT / path).read_text())
        found = [x.name for x in tree.body if isinstance(x, ast.FunctionDef)]
        assert name in found, path


def block(name: str, kind: str) -> str:
    text = (FOLDER / name).read_text()
    return re.findall(rf'```{kind}\n(.*?)```', text, re.S)[0]


def test_a_graph_keeps_the_old_shape() -> None:
    code = block('slice-in-place.md', 'python')
    with pytest.raises(RuntimeError, match=r'got \[2\] but expected .* \[4\]'):
        exec(code, {})
    exec(code.replace('p.data =', 'del loss; p.data ='), {})


def test_reading_its_file_loses_lockf_but_not_flock(tmp_path: Path) -> None:
    code = block('locks-by-flock.md', 'python')
    (tmp_path / 'locks.py').write_text(code)
    printed = checked('locks.py', cwd=tmp_path)
    assert printed == block('locks-by-flock.md', 'text')
