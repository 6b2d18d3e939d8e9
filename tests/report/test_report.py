"""The page: whole, without a network, and alive in a browser."""

import ast
import base64
import html
import json
import math
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import command_line
import pytest
from records import write_work_dir

from hrnas_mm.report import write_report
from hrnas_mm.report.record import ClassMetrics, Timing, read_record

CHROMIUM = shutil.which('chromium') or shutil.which('google-chrome')


class Page(HTMLParser):
    """What a page loads, and which ids and tags it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str | None] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        attrs = dict(attrs)
        self.loads += [
            attrs[key]
            for key in ('src', 'href', 'xlink:href')
            if key in attrs and tag not in ('a',)
        ]
        self.ids.append(attrs.get('id'))
        if tag not in ('meta', 'path', 'use', 'br', 'link', 'wbr', 'img'):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """With a config that would end a script if it could."""
    folder = tmp_path / 'my <search>'
    classes = ClassMetrics(['road', 'car & <more>'], dict(IoU=[47.25, None]))
    write_work_dir(folder, classes=classes)
    (folder / 'searched').mkdir()
    (folder / 'searched' / 'config.py').write_text("a = '</script><b>'\n")
    return folder


@pytest.fixture
def reported(work_dir: Path) -> Path:
    write_report(str(work_dir / 'report.html'), str(work_dir))
    return work_dir


def test_page_is_whole_and_loads_nothing(reported: Path) -> None:
    text = (reported / 'report.html').read_text()
    page = Page(text)
    assert page.open == []
    assert all(link.startswith('#') for link in page.loads)
    assert not re.search(r'url\((?!#)|@import|https?://(?!www\.w3\.org)', text)
    assert 'car &amp; &lt;more&gt;' in text and '<td>47.2</td>' in text
    assert 'my &lt;search&gt;' in text and 'my <search>' not in text
    assert '&lt;/script&gt;&lt;b&gt;' in text and '</script><b>' not in text
    assert 'width=device-width' in text
    blocks = json.loads(re.findall(r'const blocks = (\{.*?\});', text)[0])
    assert blocks and set(blocks) <= set(page.ids)
    assert any(' of ' in line for line in blocks.values())


def test_same_search_same_page(reported: Path) -> None:
    """So that a page under version control changes with the search only."""
    text = (reported / 'report.html').read_text()
    again = reported / 'again.html'
    write_report(str(again), str(reported))
    svgs = [
        re.findall(r'<svg.*?</svg>', page, re.S)
        for page in (text, again.read_text())
    ]
    assert len(svgs[0]) == 6 and svgs[0] == svgs[1]


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(history=5), 'history must be a list, got 5'),
        (dict(history=[]), 'history must have an entry'),
        (dict(milestones=[1]), r'milestones\[0\] must be {name: ...}, got 1'),
        (dict(begin='1'), "begin must be a whole number, got '1'"),
        (dict(schema=2), 'schema must be 3 or 4, .* got 2'),
        (dict(tables=[]), "unknown field 'tables'"),
    ],
)
def test_damaged_record(
    work_dir: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    record = json.loads((work_dir / 'search.json').read_text())
    path = tmp_path / 'search.json'
    path.write_text(json.dumps({**record, **change}))
    with pytest.raises(ValueError, match=f'{path}: .*{words}'):
        write_report(str(tmp_path / 'page.html'), str(tmp_path))


def test_a_record_alone_is_drawn_and_read_by_pandas(
    reported: Path, tmp_path: Path
) -> None:
    """After the folder has lost all else: it has the numbers themselves."""
    shutil.copy(reported / 'search.json', tmp_path)
    page = tmp_path / 'page.html'
    write_report(str(page), str(tmp_path))
    before = (reported / 'report.html').read_text()
    tables = [
        re.findall(r'<table>.*?</table>', text, re.S)
        for text in (before, page.read_text())
    ]
    assert len(tables[0]) == 3 and tables[0] == tables[1]
    pandas = pytest.importorskip('pandas')
    content = json.loads((tmp_path / 'search.json').read_text())
    history = pandas.json_normalize(content, 'history')
    record = read_record(str(tmp_path))
    assert history['costs.macs'].tolist() == [
        network.costs['macs'] for network in record.history
    ]
    assert history['rho'].dtype.kind == 'f'
    flat = pandas.json_normalize(content)
    assert flat['costs.macs'].item() == record.costs['macs']
    assert flat['target.amount'].dtype.kind in 'if'


def test_a_record_of_the_version_before(work_dir: Path) -> None:
    """It has the loss with its penalty, and does not say if it is over."""
    record = json.loads((work_dir / 'search.json').read_text())
    del record['finished']
    record.update(schema=3, curves=dict(iter=[1, 2], loss=[3.0, 2.0]))
    (work_dir / 'search.json').write_text(json.dumps(record))
    write_report(str(work_dir / 'report.html'), str(work_dir))
    text = (work_dir / 'report.html').read_text()
    assert 'loss, with the penalty' in text and 'http-equiv' not in text


def test_pictures_say_what_they_show(work_dir: Path) -> None:
    for name in ('predictions/0_prediction', 'predictions/0_ground_truth',
                 'predictions/mine',
                 'training_batch/3_ground_truth'):  # fmt: skip
        path = work_dir / f'{name}.jpg'
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    record = json.loads((work_dir / 'search.json').read_text())
    record['palette'] = {'a <b>': [1, 2, 3], 'nowhere': [4, 5, 6]}
    record['confusion'] = dict(
        classes=['a <b>', 'nowhere'], counts=[[1, 0], [0, 0]]
    )
    (work_dir / 'search.json').write_text(json.dumps(record))
    write_report(str(work_dir / 'report.html'), str(work_dir))
    text = (work_dir / 'report.html').read_text()
    names = re.findall('background: (rgb.*?)"></i>(.*?)</span>', text)
    assert names == [('rgb(1, 2, 3)', 'a &lt;b&gt;')] * 2
    found = re.findall(r'jpeg;base64,(.*?)".*?<figcaption>(.*?)<', text, re.S)
    assert [(base64.b64decode(x).decode(), y) for x, y in found] == [
        ('training_batch/3_ground_truth', 'ground truth'),
        ('predictions/0_ground_truth', 'ground truth'),
        ('predictions/0_prediction', 'prediction'),
    ]


@pytest.mark.parametrize(
    ('measured', 'tile'),
    [
        (4.5, '<b>4.5 ms</b><span>as deployed, measured</span>'),
        (None, '<b>5 ms</b><span>as deployed, predicted</span>'),
    ],
)
def test_one_number_of_ms_and_how_it_was_got(
    work_dir: Path, measured: float | None, tile: str
) -> None:
    write_work_dir(work_dir, shrinks=1, latency=Timing(5.0, measured))
    record = json.loads((work_dir / 'search.json').read_text())
    for facts in (record, *record['history'], *record['milestones']):
        facts['costs']['latency'] = 5.0
    (work_dir / 'search.json').write_text(json.dumps(record))
    write_report(str(work_dir / 'report.html'), str(work_dir))
    text = (work_dir / 'report.html').read_text()
    (numbers,) = re.findall('<div class="numbers">(.*?)<h2>', text, re.S)
    assert tile in numbers and numbers.count(' ms<') == 1
    assert '<b>1</b><span>shrink</span>' in numbers
    assert 'ms as deployed, predicted</th>' in text


def test_names_and_metrics_that_nobody_expects(tmp_path: Path) -> None:
    """Formulas that are none, names that are no UTF-8, numbers too large."""
    folder = tmp_path / os.fsdecode(b"it's cost$\\frac{$\xff")
    write_work_dir(folder)
    record = json.loads((folder / 'search.json').read_text())
    for facts in (record, *record['history'], *record['evaluations']):
        facts['costs']['cost$\\frac{$'] = 1.0
    for facts, value in zip(record['evaluations'], (1e308, math.nan, -1e308)):
        facts['metrics'] = {'mIoU$\\frac{$': value}
    record['milestones'][0].update(
        name='$\\frac{$', metrics={'mIoU$\\frac{$': 1}
    )
    for facts in record['supernet'].values():
        facts['kind'] = facts['kind'].replace('tokens', '$\\frac{$')
    (folder / 'search.json').write_text(json.dumps(record))
    write_report(str(folder / 'report.html'), str(folder))
    text = (folder / 'report.html').read_text()
    assert 'cost$\\frac{$?' in text
    (line,) = re.findall('^backbone=.*arch=(.*), ...\\)</pre>', text, re.M)
    assert ast.literal_eval(html.unescape(line)).endswith(
        '/searched/architecture.json'
    )
    for name in ('pareto', 'search', 'architecture'):
        out = tmp_path / f'{name}.png'
        command_line.checked('tools/visualize.py', name, folder, '--out', out)
        assert out.exists()


def test_no_search(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='no search.json: it is not the'):
        write_report(str(tmp_path / 'report.html'), str(tmp_path))
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
<script>
addEventListener('load', () => {
  const circle = document.querySelector('[id^="block:"]');
  const box = document.getElementById('block');
  circle.dispatchEvent(new Event('click'));
  const narrow = document.documentElement.scrollWidth <= innerWidth;
  document.title = JSON.stringify({
    expected: blocks[circle.id], found: box.textContent, narrow});
});
</script>
"""


@pytest.mark.skipif(not CHROMIUM, reason='needs chromium')
def test_in_a_browser_as_narrow_as_a_phone(
    reported: Path, tmp_path: Path
) -> None:
    assert CHROMIUM
    page = tmp_path / 'page.html'
    page.write_text((reported / 'report.html').read_text() + SCRIPT)
    # Narrower than a window may be: a frame inside a page.
    frame = tmp_path / 'frame.html'
    frame.write_text(
        '<iframe src="page.html" width="360" height="700"></iframe><script>'
        'addEventListener("load", () => setTimeout(() => document.title = '
        'frames[0].document.title, 200))</script>'
    )
    result = subprocess.run(
        [
            CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu',
            '--no-first-run', '--disable-background-networking',
            '--disable-component-update', '--disable-sync',
            '--allow-file-access-from-files', '--virtual-time-budget=3000',
            f'--user-data-dir={tmp_path / "profile"}', '--dump-dom',
            frame.as_uri(),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    found = re.search(r'<title>(\{.*?\})</title>', result.stdout)
    assert found, result.stdout + result.stderr[-2000:]
    seen = json.loads(found[1].replace('&amp;', '&'))
    assert seen['found'] == seen['expected'] and ' of ' in seen['found']
    assert seen['narrow']
