"""The documents say what the code does."""

import ast
import inspect
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from command_line import checked, metrics
from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.runner import Runner
from records import write_work_dir

from hrnas_mm.engine import ProgressiveShrinkHook
from hrnas_mm.models import HRNASSupernet
from hrnas_mm.models.backbones.searchable import searchable
from hrnas_mm.models.backbones.with_transformers import with_transformers
from hrnas_mm.models.necks import HRNASFuseScales
from hrnas_mm.modules import LightweightTransformer

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
# What a section does not list, since another one does.
OF_THE_SUPERNET = {
    'kernel_sizes', 'expand_ratio', 'num_tokens', 'token_size', 'transformer',
    'arch', 'norm_cfg', 'act_cfg', 'with_cp', 'memory_efficient', 'init_cfg',
}  # fmt: skip
SET_AROUND_IT = {
    'in_channels', 'out_channels', 'stride', 'num_tokens', 'token_size',
    'norm_layer',
}  # fmt: skip
OPTIONS = [
    (ProgressiveShrinkHook, set()),
    (HRNASSupernet, set()),
    (HRNASFuseScales, OF_THE_SUPERNET),
    (with_transformers, set()),
    (searchable, set()),
    (LightweightTransformer, SET_AROUND_IT),
]


def section(name: str) -> str:
    text = (ROOT / 'docs/options.md').read_text()
    return re.findall(
        rf'^## {name}$(.*?)(?=^## |\Z)', text, re.M | re.S | re.I
    )[0]


@pytest.mark.parametrize('owner, left_out', OPTIONS)
def test_options_and_their_defaults(owner: Any, left_out: Any) -> None:
    rows = [
        [cell.strip(' `') for cell in line.split('|')[1:4]]
        for line in section(owner.__name__).splitlines()
        if line.startswith('| `')
    ]
    listed = {name: default for name, default, _ in rows}
    parameters = inspect.signature(owner).parameters
    assert set(listed) == set(parameters) - left_out
    for name, default in listed.items():
        found = parameters[name].default
        if default.isupper() and default != 'None':
            module = inspect.getmodule(owner)
            assert found is getattr(module, default)
        elif default:
            assert found == ast.literal_eval(default), name
        else:
            assert found is inspect.Parameter.empty, name


def texts() -> Iterator[str]:
    """All texts in the code, '...' for what varies."""
    for folder in ('hrnas_mm', 'tools'):
        for path in (ROOT / folder).rglob('*.py'):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp)):
                    text = re.sub(r'\s+', ' ', template(node))
                    yield text.replace('{}', '...')


def template(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return ''.join(map(template, node.values))
    if isinstance(node, ast.BinOp):
        return template(node.left) + template(node.right)
    return '...'


def parts(text: str) -> list[str]:
    return [part.strip() for part in text.split('...') if part.strip()]


def is_about(row: str, message: str) -> bool:
    """Whether all parts of a row stand in a message, in their order."""
    start = 0
    for part in parts(row):
        found = message.find(part, start)
        if found < 0:
            return False
        start = found + len(part)
    return True


def messages() -> list[str]:
    text = (ROOT / 'docs/troubleshooting.md').read_text()
    return re.findall(r'^\| `(.*?)` \|', text, re.M)


def test_the_troubleshooting_is_about_errors_that_exist() -> None:
    found = list(texts())
    gone = [r for r in messages() if not any(is_about(r, m) for m in found)]
    assert not gone


def blocks(kind: str) -> Iterator[tuple[str, str]]:
    for path in DOCS:
        for block in re.findall(
            rf'```{kind}\n(.*?)```', path.read_text(), re.S
        ):
            yield path.name, block


def test_commands_name_tools_and_configs_that_exist() -> None:
    for name, block in blocks('bash'):
        for line in block.replace('\\\n', ' ').splitlines():
            for word in shlex.split(line, comments=True):
                if re.match(r'(tools|configs)/[^:{}$]*\.(py|sh)$', word):
                    assert any(ROOT.glob(word)), (name, word)


def test_links_lead_somewhere() -> None:
    for path in DOCS:
        for link in re.findall(r'\]\(([^)#]+)(?:#[^)]*)?\)', path.read_text()):
            if '://' not in link:
                assert (path.parent / link).exists(), (path.name, link)


def write_files(text: str, folder: Path) -> None:
    """Write the Python blocks that begin with their file's name."""
    for name, code in re.findall(
        r'```python\n# (\w+\.py)\n(.*?)```', text, re.S
    ):
        (folder / name).write_text(code)


def test_scalars_go_where_the_documents_say(tmp_path: Path) -> None:
    """By the lines for TensorBoard; of the other two the names exist."""
    event_accumulator = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator'
    )
    text = (ROOT / 'docs/training.md').read_text()
    found = re.findall(
        r'```python\n# pip install \w+; .*?\n(.*?)```', text, re.S
    )
    cfgs = [Config.fromstring(block, '.py') for block in found]
    kinds = [cfg.visualizer.vis_backends[1].type for cfg in cfgs]
    assert [len(block.splitlines()) for block in found] == [3, 3, 3]
    assert all(VISBACKENDS.get(kind) for kind in kinds)
    cfg = tiny.config(tmp_path, max_iters=6)
    cfg.visualizer = dict(type='Visualizer')
    cfg.merge_from_dict(dict(visualizer=cfgs[0].visualizer))
    Runner.from_cfg(cfg).train()
    (events,) = tmp_path.rglob('events.*')
    scalars = event_accumulator.EventAccumulator(str(events)).Reload()
    tags = scalars.Tags()['scalars']
    assert {'search/macs', 'search/rho', 'loss_ce', 'accuracy'} <= set(tags)


@pytest.fixture(scope='module')
def tutorial(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, str]]:
    """A folder in which it was followed, and what each tool printed last."""
    pytest.importorskip('mmseg.apis')
    pytest.importorskip('onnxruntime')
    folder = tmp_path_factory.mktemp('tutorial')
    text = (ROOT / 'docs/tutorial.md').read_text()
    write_files(text, folder)
    (folder / 'tools').symlink_to(ROOT / 'tools')
    printed = {}
    for block in re.findall(r'```bash\n(.*?)```', text, re.S):
        for line in block.replace('\\\n', ' ').splitlines():
            python, tool, *args = shlex.split(line)
            assert python == 'python'
            printed[tool] = checked(tool, *args, cwd=folder)
    return folder, printed


def test_tutorial(tutorial: tuple[Path, dict[str, str]]) -> None:
    folder, printed = tutorial
    work_dir = folder / 'work_dirs/my_search'
    for name in (
        'report.html', 'search.png', 'architecture.png', 'pareto.png',
        'milestones/0.7/model.pth', 'searched/architecture.json',
    ):  # fmt: skip
        assert (work_dir / name).exists(), name
    assert 'ExactResumeHook' in (work_dir / 'searched/config.py').read_text()
    assert 'real input: largest diff' in printed['tools/export_onnx.py']
    assert (
        b'"sidewalk", "building"' in (folder / 'my_search.onnx').read_bytes()
    )
    assert printed['tools/benchmark.py'].count('│ onnxruntime') == 3


def test_report_of_the_tutorial(tutorial: tuple[Path, dict[str, str]]) -> None:
    folder, _ = tutorial
    page = (folder / 'work_dirs/my_search/report.html').read_text()
    assert 'mIoU' in page and 'work_dirs/my_search/searched/config.py' in page
    assert 'python -m hrnas_mm train' in page
    classes = page[page.index('By class') :]
    assert 'sidewalk' in classes and '<td>-</td>' in classes
    # Four images of the batch, four with their truth and prediction.
    assert page.count('data:image/jpeg') == 12


def test_searched_network_gives_the_logged_metric(
    tutorial: tuple[Path, dict[str, str]],
) -> None:
    folder, _ = tutorial
    work_dir = folder / 'work_dirs/my_search'
    assert metrics(work_dir / 'searched/retrained') == metrics(work_dir)


def test_searched_network_works_in_mmseg_without_an_extra_step(
    tutorial: tuple[Path, dict[str, str]],
) -> None:
    from mmseg.apis import inference_model, init_model

    folder, _ = tutorial
    model = init_model(
        str(folder / 'my_search.py'),
        str(folder / 'work_dirs/my_search/searched/model.pth'),
        device='cpu',
    )
    result = inference_model(model, np.zeros((64, 128, 3), np.uint8))
    assert result.pred_sem_seg.data.shape == (1, 64, 128)
    assert model.dataset_meta['classes'][0] == 'road'


def test_get_flops_of_the_searched_network(
    tutorial: tuple[Path, dict[str, str]],
) -> None:
    folder, _ = tutorial
    searched = folder / 'work_dirs/my_search/searched'
    written = json.loads((searched / 'architecture.json').read_text())
    command = ('tools/get_flops.py', 'my_search.py', searched / 'model.pth')
    counts = json.loads(checked(*command, '--json', cwd=folder))
    total, parts = counts['total'], counts['parts'].values()
    costs = written['costs']
    assert {name: total[name] for name in costs} == costs
    assert sum(part['macs'] for part in parts) == costs['macs']
    last = checked(*command, cwd=folder).splitlines()[-2]
    assert f'{costs["macs"] / 1e9:.4f} G' in last
    assert f'{costs["params"] / 1e6:.4f} M' in last


def test_fine_tuning_with_other_classes(
    tutorial: tuple[Path, dict[str, str]],
) -> None:
    """As with any mmseg checkpoint: the head starts anew, the rest does not.

    Adam moves a weight by about the learning rate in a step.
    """
    folder, printed = tutorial
    searched, tuned, anew = (
        torch.load(folder / 'work_dirs' / path, weights_only=True)
        for path in (
            'my_search/searched/model.pth',
            'fine_tuned/iter_20.pth',
            'from_scratch/iter_40.pth',
        )
    )
    assert tuned['state_dict']['decode_head.conv_seg.weight'].shape[0] == 21
    mismatch = 'size mismatch for decode_head.conv_seg.weight'
    assert mismatch in printed['tools/train.py']

    def moved(checkpoint: dict[str, Any]) -> float:
        return max(
            (checkpoint['state_dict'][name] - weight).abs().max()
            for name, weight in searched['state_dict'].items()
            if name.startswith('backbone') and name.endswith('weight')
        )

    assert moved(tuned) < 20 * 4e-3 < moved(anew)


def test_the_numbers_of_a_search(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip('pandas')
    text = (ROOT / 'docs/tutorial.md').read_text()
    (code,) = re.findall(r'```python\n(import json.*?)```', text, re.S)
    record = write_work_dir(tmp_path / 'work_dirs/my_search')
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    columns, *rows = capsys.readouterr().out.splitlines()
    assert columns.split() == ['iter', 'rho', 'costs.macs', 'costs.params']
    assert [int(row.split()[3]) for row in rows] == [
        shrink.costs['macs'] for shrink in record.history
    ]


def test_extending(tmp_path: Path) -> None:
    text = (ROOT / 'docs/extend.md').read_text()
    write_files(text, tmp_path)
    shown = re.findall(r'# (use\w*\.py)\n.*?```text\n(.*?)```', text, re.S)
    assert len(shown) == 5
    for name, expected in shown:
        assert checked(name, cwd=tmp_path) == expected
