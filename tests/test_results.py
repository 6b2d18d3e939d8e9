"""The tables of results are those of the files, number by number."""

import csv
import re
import shutil
from pathlib import Path

import pytest
from command_line import call, checked

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / 'docs/results').glob('*.csv'))
PAGES = ('README.md', 'docs/results.md')
# Facts about the runs, which the tables leave out.
NOT_SHOWN = {'date', 'networks', 'runs', 'seed', 'turns'}


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_a_table_has_each_number_of_its_file(path: Path) -> None:
    start = re.escape(f'<!-- results/{path.name} -->\n')
    text = ''.join((ROOT / page).read_text() for page in PAGES)
    (block,) = re.findall(f'{start}(.*?)<!-- end -->', text, re.S)
    lines = block.splitlines()[2:]
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows):
        texts = re.split(r' \| | ± | to |, | %', line.strip('| '))
        cells = {text.strip(' *|GM') for text in texts}
        for name, value in row.items():
            if re.fullmatch(r'[\d.]+', value) and name not in NOT_SHOWN:
                assert value in cells, (name, line)


def test_check(tmp_path: Path) -> None:
    command = 'benchmarks/draw_results.py'
    checked(command, '--check')
    for path in ('docs/results', 'benchmarks'):
        shutil.copytree(ROOT / path, tmp_path / path)
    for page in PAGES:
        shutil.copy(ROOT / page, tmp_path / page)
    stock = tmp_path / 'docs/results/stock.csv'
    stock.write_text(stock.read_text().replace('850.1', '850.2'))
    result = call(command, '--check', cwd=tmp_path)
    assert result.code == 1 and 'docs/results.md differs' in result.out
    checked(command, cwd=tmp_path)
    assert '850.2 M' in (tmp_path / 'docs/results.md').read_text()
    checked(command, '--check', cwd=tmp_path)
