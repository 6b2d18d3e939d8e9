"""The command lines for what a search gives: export, convert, draw, time."""

import json
import runpy
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import pytest
import torch
from counting import counted, random_keep
from exporting import int8, plain
from torch import Tensor, nn

import hrnas_mm.deploy
import hrnas_mm.latency
from hrnas_mm.building import build_model, training_inputs
from hrnas_mm.cli.config import prepare_config
from hrnas_mm.deploy import NO_ENDS, Ends, cost_model_of
from hrnas_mm.deploy.metadata import normalisation_of
from hrnas_mm.latency import TunedForm
from hrnas_mm.modules.deployed import Choice
from hrnas_mm.report.record import RECORD, SCHEMA, Record, write_record
from hrnas_mm.search import (
    architecture_of,
    describe_architecture,
    read_description,
    shrink_,
)
from hrnas_mm.typed import read_as

Tool = Callable[..., SimpleNamespace]
ROOT = Path(__file__).parents[2]
CONFIG = 'configs/mmseg/hrnas_demo_1xb8-300_cityscapes-128x256.py'
pytest.importorskip('mmseg')


@pytest.fixture
def tool(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Tool:
    """Run a command line in this process."""
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT / 'tools')

    def run(name: str, *args: object) -> SimpleNamespace:
        path = f'tools/{name}.py'
        monkeypatch.setattr(sys, 'argv', [path, *map(str, args)])
        code: Any = 0
        try:
            runpy.run_path(path, run_name='__main__')
        except SystemExit as stopped:
            code = stopped.code
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


@pytest.fixture(scope='module')
def network(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[nn.Module, Path]:
    """A searched network of the demo's supernet, and its checkpoint."""
    torch.manual_seed(0)
    model = build_model(prepare_config(str(ROOT / CONFIG)))
    cost_model = cost_model_of(model, (64, 96))
    shrink_(model, random_keep(model))
    path = tmp_path_factory.mktemp('network') / 'model.pth'
    description = describe_architecture(model, cost_model)
    checkpoint = dict(
        state_dict=model.state_dict(), architecture=asdict(description)
    )
    torch.save(checkpoint, path)
    return model, path


def assert_refused(result: SimpleNamespace, message: str, *files: Any) -> None:
    """One line, exit code 2, and no file written."""
    assert result.code == 2
    (line,) = [x for x in result.err.splitlines() if x.startswith('error: ')]
    assert message in line
    assert not any(Path(file).exists() for file in files)


def test_export_architecture(
    tool: Tool, network: tuple[nn.Module, Path], tmp_path: Path
) -> None:
    model, path = network
    out = tmp_path / 'a.json'
    result = tool('export_architecture', path, out)
    assert result.code == 0 and 'parameters at (3, 64, 96)' in result.out
    assert read_description(str(out)).units == architecture_of(model)
    written = out.read_text()
    result = tool('export_architecture', path, out)
    assert result.code == 2 and '--force overwrites it' in result.err
    assert out.read_text() == written
    # Raw weights that say nothing of themselves: the config tells.
    bare = tmp_path / 'bare.pth'
    torch.save(model.state_dict(), bare)
    out.unlink()
    assert_refused(
        tool('export_architecture', bare, out),
        '--config CONFIG reads it off the weights',
        out,
    )
    result = tool('export_architecture', path, tmp_path / 'a.txt')
    assert_refused(result, 'OUT must end in .json', tmp_path / 'a.txt')
    tool('export_architecture', bare, out, '--config', CONFIG)
    assert read_description(str(out)).units == architecture_of(model)


@pytest.mark.parametrize(
    'content, message',
    [
        (b'nothing', 'is no checkpoint'),
        (dict(state_dict={'conv.weight': torch.ones(1)}), 'another network'),
    ],
)
def test_a_checkpoint_of_something_else(
    tool: Tool, tmp_path: Path, content: bytes | dict[str, Any], message: str
) -> None:
    path, out = tmp_path / 'other.pth', tmp_path / 'out.json'
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    for name, args in (
        ('export_architecture', (path, out, '--config', CONFIG)),
        ('export_onnx', (CONFIG, path, out, '--shape', 32, 64)),
        ('get_flops', (CONFIG, path)),
        ('benchmark', (f'{CONFIG}:{path}', '--shape', 32, 64)),
    ):
        assert_refused(tool(name, *args), message, out)


def test_an_architecture_with_a_typo(
    tool: Tool, network: tuple[nn.Module, Path], tmp_path: Path
) -> None:
    _, path = network
    out = tmp_path / 'a.json'
    tool('export_architecture', path, out)
    content = json.loads(out.read_text())
    name = next(n for n in content['units'] if n.endswith('tokens'))
    content['units'][name.replace('tokens', 'token')] = 1
    out.write_text(json.dumps(content))
    arch = f'model.backbone.arch={out}'
    result = tool('get_flops', CONFIG, '--cfg-options', arch)
    assert_refused(result, "tokens'?")
    result = tool('visualize', 'architecture', tmp_path / 'nowhere.json')
    assert_refused(result, 'nowhere.json')


def test_export_onnx(
    tool: Tool,
    network: tuple[nn.Module, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Check the messages around an export; the tutorial makes a real one."""
    _, path = network
    data, out = tmp_path / 'data', tmp_path / 'model.onnx'
    command: tuple[Any, ...]
    command = ('export_onnx', CONFIG, path, out, '--shape', 32, 64)
    assert_refused(tool(*command, '--opset', 11), 'opset must be 18', out)
    tool(
        'make_demo_data', 'cityscapes', data, '--train', 1, '--val', 1,
        '--size', 64, 32,
    )  # fmt: skip
    command += ('--dynamic-batch', '--cfg-options')
    compared, forms = [], []

    def export(model: nn.Module, shape: Any, path: str, *args: Any) -> None:
        Path(path).write_bytes(b'a network')
        forms.append(args)

    def check(
        path: str, model: nn.Module, images: Tensor, ends: Ends
    ) -> float:
        compared.append((Path(path).read_bytes(), tuple(images.shape)))
        return 1e-6

    monkeypatch.setattr(hrnas_mm.deploy, 'export_onnx', export)
    monkeypatch.setattr(hrnas_mm.deploy, 'check_onnx', check)
    monkeypatch.setattr(plain, 'plain_script', lambda *args: 'session = 1')
    result = tool(*command, f'data_root={data}')
    assert result.code == 0, result.err
    for kind in ('random', 'real'):
        assert f'{kind} input: largest difference to torch 1e-06' in result.out
    assert compared == [(b'a network', (2, 3, 32, 64))] * 2
    assert 'input B x (3, 32, 64)' in result.out
    assert result.out.endswith('pillow alone:\n\nsession = 1\n')
    result = tool(*command, f'data_root={data}')
    assert result.code == 2 and 'exists; --force' in result.err
    result = tool(*command, 'data_root=nowhere', '--force')
    assert 'Not compared on real input: test_dataloader.dataset.data_root' in (
        result.out
    )

    # Integers, with the ranges of as many training images as there are.
    seen: list[tuple[bytes, Any, str]] = []

    def quantized(*args: Any) -> bytes:
        seen.append(args)
        return b'in 8 bits'

    monkeypatch.setattr(int8, 'quantized', quantized)
    monkeypatch.setattr(int8, 'in_float', lambda content: dict(Conv=1))
    monkeypatch.setattr(int8, '_difference', lambda *args: 'equal')
    root = f'data_root={data}'
    result = tool(*command, root, '--force', '--int8', '--with-normalization')
    assert (
        'training images; in float: 1 Conv; in onnxruntime equal\n'
        in result.out
    )
    ((content, (pixels,), runtime),) = seen
    assert runtime == 'onnxruntime'
    assert (content, out.read_bytes()) == (b'a network', b'in 8 bits')
    cfg = prepare_config(str(CONFIG), {'data_root': str(data)})
    (normalised,) = training_inputs(cfg, network[0], 1)
    mean, std, _ = normalisation_of(network[0])
    expected = normalised * torch.tensor(std)[:, None, None]
    expected = (expected + torch.tensor(mean)[:, None, None]).flip(1)
    torch.testing.assert_close(pixels, expected, atol=1e-3, rtol=1e-4)
    assert pixels.shape == (1, 3, 32, 64) and pixels.max() > 100
    refused = tool(*command[:6], '--calibrate', 2)
    assert refused.code == 2 and 'is for --int8' in refused.err
    tool(*command, root, '--force', '--int8', '--runtime', 'openvino')
    assert seen[1][2] == 'openvino'
    refused = tool(*command[:6], '--int8', '--runtime', 'torch')
    assert refused.code == 2 and '--runtime torch' in refused.err
    result = tool(*command, 'data_root=nowhere', '--force', '--int8')
    assert result.code == 2 and 'train_dataloader' in result.err
    assert out.read_bytes() == b'in 8 bits'

    # What is fastest here takes the place of what the constants say.
    assert (
        'give one of them'
        in tool(*command[:6], '--tune', '--fuse', 'never').err
    )
    refused = tool(*command[:6], '--tune', '--runtime', 'torch')
    assert refused.code == 2 and 'torch runs none' in refused.err
    ms = {'tuned': 1.0, 'by constants': 1.5}
    choices = {'backbone.fuse': Choice(split=False)}
    monkeypatch.setattr(
        hrnas_mm.latency,
        'tuned_form',
        lambda *args, **kwargs: TunedForm('tuned', 8, choices, ms),
    )
    result = tool(*command, f'data_root={data}', '--force', '--tune')
    assert '1.00 ms tuned, taken\n1.50 ms by constants\n' in result.out
    assert 'the joining block reads its maps joined' in result.out
    assert forms[-1][-4:] == (8, None, choices, NO_ENDS)
    assert forms[0][-4:] == ('auto', None, None, NO_ENDS)

    # A file that does not compute the same never takes the place of one.
    def differ(*args: Any) -> None:
        raise ValueError('it differs')

    out.write_bytes(b'the one before')
    monkeypatch.setattr(hrnas_mm.deploy, 'check_onnx', differ)
    with pytest.raises(ValueError, match='it differs'):
        tool(*command, f'data_root={data}', '--force')
    assert out.read_bytes() == b'the one before'
    assert {p.name for p in tmp_path.iterdir()} == {'data', 'model.onnx'}


def test_benchmark(tool: Tool, network: tuple[nn.Module, Path]) -> None:
    model, path = network
    ddrnet = (
        'mmseg::ddrnet/'
        'ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024.py'
    )
    result = tool(
        'benchmark', f'{CONFIG}:{path}', ddrnet, '--shape', 64, 64,
        '--rounds', 2, '--batch', 2, '--threads', 1,
        '--backends', 'eager', 'channels_last', '--dtype', 'bfloat16',
    )  # fmt: skip
    assert result.code == 0, result.err
    rows = [x.split('│') for x in result.out.splitlines() if 'x64x64' in x]
    assert [row[2].strip() for row in rows] == ['eager', 'channels_last'] * 2
    for row in rows:
        median, _, images, peak = (cell.strip() for cell in row[6:10])
        assert float(images) == pytest.approx(2000 / float(median), rel=0.02)
        # The images alone are 0.05 MB in 16 bits.
        assert 0.05 < float(peak) < 2
    models = (model, build_model(prepare_config(ddrnet)))
    for row, each in zip(rows[::2], models):
        macs = counted(deepcopy(each), (3, 64, 64)) / 1e9
        assert float(row[4].rstrip(' G')) == pytest.approx(macs, abs=1e-4)
        params = sum(param.numel() for param in each.parameters()) / 1e6
        assert float(row[5].rstrip(' M')) == pytest.approx(params, abs=1e-3)


def test_benchmark_of_an_unknown_model(tool: Tool) -> None:
    result = tool('benchmark', 'mmseg::no/such.py', '--shape', 64, 64)
    assert_refused(result, 'no/such.py')
    result = tool('benchmark', 'mmfoo::x.py', '--shape', 64, 64)
    assert_refused(result, "got 'mmfoo'")
    detr = 'mmdet::detr/detr_r50_8xb2-150e_coco.py'
    result = tool('benchmark', detr, '--shape', 64, 64)
    assert_refused(result, 'a head that takes nothing but its maps')
    result = tool(
        'benchmark', CONFIG, '--backends', 'eager', '--device', 'cuda'
    )
    assert_refused(result, 'device must be cpu without a GPU')
    result = tool('get_flops', CONFIG, '--shape', 4, 64, 64)
    assert_refused(result, 'in_channels of HRNASSupernet is 3')
    result = tool('benchmark', 'ddrnet', '--shape', 64, 64)
    assert_refused(result, "must be CONFIG.py or CONFIG.py:CHECKPOINT, got 'd")


@pytest.fixture
def work_dir(network: tuple[nn.Module, Path], tmp_path: Path) -> Path:
    """What a search of one shrink would leave."""
    model, path = network
    found = torch.load(path, weights_only=True)['architecture']
    supernet = found['supernet']
    whole = {unit: facts['elements'] for unit, facts in supernet.items()}
    costs = [dict(macs=9e9, params=5e6), dict(macs=1e9, params=1e6)]
    history = [
        dict(
            iter=10 * i, costs=costs[i], rho=1e-3, counts=list(units.values())
        )
        for i, units in enumerate([whole, found['units']])
    ]
    folder = tmp_path / 'run'
    folder.mkdir()
    content = dict(
        schema=SCHEMA, supernet=supernet, input_shape=[3, 64, 96],
        costs=costs[0], target=None, begin=0, end=10, max_iters=20, iter=20,
        history=history,
        evaluations=[dict(iter=20, costs=costs[1], metrics=dict(mIoU=50.0))],
        milestones=[],
    )  # fmt: skip
    write_record(str(folder), read_as(Record, content))
    return folder


@pytest.mark.parametrize(
    'command, name',
    [
        ('architecture', 'architecture.png'),
        ('search', 'search.png'),
        ('pareto', 'pareto.png'),
        ('report', 'report.html'),
    ],
)
def test_visualize_in_the_work_dir(
    tool: Tool, work_dir: Path, command: str, name: str
) -> None:
    result = tool('visualize', command, work_dir)
    assert result.code == 0 and f'is in {work_dir / name}' in result.out
    if name.endswith('.png'):
        assert cv2.imread(str(work_dir / name)).std() > 10
    refused = tool('visualize', command, work_dir)
    assert refused.code == 2 and '--force' in refused.err
    assert tool('visualize', command, work_dir, '--force').code == 0
    (work_dir / name).unlink()
    for text, message in (
        ('[', 'is not JSON'),
        ('[]', 'must be {name: ...}'),
    ):
        (work_dir / RECORD).write_text(text)
        result = tool('visualize', command, work_dir)
        assert_refused(result, message, work_dir / name)
    (work_dir / RECORD).unlink()
    result = tool('visualize', command, work_dir)
    assert_refused(result, 'is not the work_dir of a search', work_dir / name)


def test_visualize_from_files_and_as_an_animation(
    tool: Tool, network: tuple[nn.Module, Path], work_dir: Path, tmp_path: Path
) -> None:
    _, path = network
    architecture, out = tmp_path / 'a.json', tmp_path / 'three.png'
    tool('export_architecture', path, architecture)
    sources = (architecture, path, work_dir)
    result = tool('visualize', 'architecture', *sources, '--out', out)
    assert result.code == 0, result.err
    alone = tmp_path / 'one.png'
    tool('visualize', 'architecture', path, '--out', alone)
    one, three = (cv2.imread(str(p)).shape[0] for p in (alone, out))
    assert 2.5 * one < three + one < 4 * one
    gif = tmp_path / 'descent.gif'
    assert tool('visualize', 'architecture', work_dir, '--out', gif).code == 0
    assert gif.read_bytes().startswith(b'GIF89a')
    gif.unlink()
    result = tool('visualize', 'architecture', path, '--out', gif)
    assert_refused(result, 'an animation is of the work_dir', gif)
    odd = tmp_path / 'picture.odd'
    result = tool('visualize', 'architecture', path, '--out', odd)
    assert_refused(result, '--out must end in one of', odd)
    result = tool('visualize', 'pareto', work_dir, '--metric', 'AP')
    assert_refused(result, '--metric must be one of mIoU')


def test_convert_official_of_something_else(
    tool: Tool, tmp_path: Path
) -> None:
    source, out = tmp_path / 'checkpoint.json', tmp_path / 'a.json'
    source.write_text('[]')
    result = tool('convert_official', CONFIG, source, out)
    assert_refused(result, 'has 0 blocks, the model of the config has 15', out)
    for text, message in (('{', 'is not JSON'), ('{}', 'a list of blocks')):
        source.write_text(text)
        result = tool('convert_official', CONFIG, source, out)
        assert_refused(result, message, out)
    source.write_text('[]')
    weights = tmp_path / 'weights.pth'
    torch.save(dict(model={'a.weight': torch.ones(1)}), weights)
    result = tool('convert_official', CONFIG, weights, tmp_path / 'm.pth')
    assert_refused(result, 'no block features.0', tmp_path / 'm.pth')
    other = (
        'mmseg::ddrnet/ddrnet_23_in1k-pre_2xb6-120k_cityscapes-1024x1024.py'
    )
    result = tool('convert_official', other, source, out)
    assert_refused(result, 'must be an HRNASSupernet, got DDRNet', out)


def test_convert_official_of_the_released_files(
    tool: Tool, shared_data: Path, tmp_path: Path
) -> None:
    pytest.importorskip('mmpretrain')
    config = 'configs/mmpretrain/hrnas-a_8xb64-350e_in1k.py'
    source = shared_data / 'official/checkpoint.json'
    out = tmp_path / 'a.json'
    no_tokens = ('model.backbone.num_tokens=0', 'model.neck.0.num_tokens=0')
    result = tool(
        'convert_official', config, source, out, '--cfg-options', *no_tokens
    )
    assert '0.2592 G multiply-adds, 3.894 M parameters at (3,' in result.out
    arch = [f'model.{part}.arch={out}' for part in ('backbone', 'neck.0')]
    result = tool(
        'get_flops', config, '--json', '--cfg-options', *no_tokens, *arch
    )
    assert json.loads(result.out)['total']['macs'] == 259232935


@pytest.mark.parametrize('form', ['json', 'pth'])
def test_the_architecture_in_another_framework(
    tool: Tool, network: tuple[nn.Module, Path], tmp_path: Path, form: str
) -> None:
    """Of a segmentation, in a pose estimator of another input size."""
    pytest.importorskip('mmpose')
    model, arch = network
    if form == 'json':
        arch = tmp_path / 'a.json'
        tool('export_architecture', network[1], arch)
    pose = 'configs/mmpose/td-hm_hrnas-demo_1xb16-8e_coco-192x144.py'
    cfg = prepare_config(pose, {'model.backbone.arch': str(arch)})
    other: Any = build_model(cfg)
    assert architecture_of(other) == architecture_of(model)
    assert other.backbone(torch.zeros(1, 3, 192, 144))[0].shape[-1] == 36
