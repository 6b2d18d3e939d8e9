"""Files in 8-bit integers, against torch's own quantised arithmetic."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from test_onnx import searched
from torch import Tensor, nn

from hrnas_mm.deploy import export_onnx, onnx_bytes
from hrnas_mm.deploy.int8 import in_float, quantized
from hrnas_mm.runtimes import RUNTIMES, LocalTimer

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
IMAGE = (1, 8, 12, 16)


def two_convs() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 4, 1)
    return nn.Sequential(*layers).eval()


def rounded(x: Tensor, low: float, high: float) -> Tensor:
    """A map in 256 levels from the lowest to the highest value."""
    low, high = min(low, 0.0), max(high, 0.0)  # zero is one of the levels
    scale = (high - low) / 255
    zero = round(-low / scale)
    return torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, 255)


def convolved(conv: Any, x: Tensor) -> Tensor:
    """A convolution whose weights have 255 levels per output channel."""
    largest = conv.weight.detach().abs().amax((1, 2, 3))
    weight = torch.fake_quantize_per_channel_affine(
        conv.weight, largest / 127, torch.zeros(len(largest)), 0, -127, 127
    )
    return torch.conv2d(x, weight, conv.bias, padding=conv.padding)


@pytest.mark.parametrize('runtime', ['onnxruntime', 'openvino'])
@torch.no_grad()
def test_integers_are_those_of_torch(runtime: str) -> None:
    pytest.importorskip(runtime)
    network = two_convs()
    images = [torch.randn(IMAGE, generator=seed(i)) for i in range(3)]
    content = quantized(onnx_bytes(two_convs(), images[0]), images, runtime)
    (found,) = RUNTIMES[runtime].session(content)(images[1])
    seen = torch.cat(images)
    first, relu, second = network
    hidden, last = relu(first(seen)), network(seen)
    x = rounded(images[1], float(seen.min()), float(seen.max()))
    x = rounded(relu(convolved(first, x)), 0.0, float(hidden.max()))
    x = rounded(convolved(second, x), float(last.min()), float(last.max()))
    step = float(last.max() - last.min()) / 255
    # A sum just between two levels is rounded up in one, down in the other.
    assert (found - x).abs().max() < 1.5 * step
    assert ((found - x).abs() > 0.01 * step).float().mean() < 0.02
    assert (found - network(images[1])).abs().max() > 1.5 * step


def seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def operators(content: bytes) -> Counter[str]:
    nodes = onnx.load_from_string(content).graph.node
    return Counter(node.op_type for node in nodes)


@pytest.fixture(scope='module')
def file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp('int8') / 'model.onnx'
    model: Any = searched('segmentation')
    classes = dict(classes=['road', 'sky'])
    export_onnx(model, (3, 64, 96), str(path), dataset_meta=classes)
    return path.read_bytes()


def test_first_convolution_and_transformers_stay_in_float(
    file: bytes,
) -> None:
    content = quantized(file, [torch.randn(1, 3, 64, 96)])
    before, left = operators(file), in_float(content)
    nodes = onnx.load_from_string(content).graph.node
    assert [n.op_type for n in nodes if 'image' in n.input] == ['Conv']
    assert 1 <= left['Conv'] < before['Conv'] / 4
    assert left['MatMul'] == before['MatMul'] > 0
    assert left['LayerNormalization'] == before['LayerNormalization'] > 0
    assert operators(content)['Conv'] == before['Conv']


class TwoMaps(nn.Module):
    """A convolution whose input is added to its output, or joined with it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        map = self.conv(x)
        return x + map, torch.cat([x, map], 1)


@pytest.mark.parametrize(
    ('runtime', 'last'),
    [
        ('onnxruntime', ['DequantizeLinear', 'DequantizeLinear']),
        ('openvino', ['Add', 'Concat']),
    ],
)
def test_openvino_adds_up_and_joins_in_float(
    runtime: str, last: list[str]
) -> None:
    image = torch.randn(IMAGE)
    content = quantized(onnx_bytes(TwoMaps(), image), [image], runtime)
    graph = onnx.load_from_string(content).graph
    made_by = {out: node.op_type for node in graph.node for out in node.output}
    assert [made_by[each.name] for each in graph.output] == last
    assert not in_float(content)  # the convolution is not


def test_file_keeps_its_metadata_and_says_its_type(file: bytes) -> None:
    content = quantized(file)
    before, told = (
        {each.key: each.value for each in model.metadata_props}
        for model in map(onnx.load_from_string, (file, content))
    )
    assert told | before == told and '"sky"' in told['classes']
    assert told['dtype'] == 'int8' and 'dtype' not in before
    assert told['quantized_for'] == 'onnxruntime'


def test_what_is_timed_has_the_operators_of_a_calibrated_file(
    file: bytes, tmp_path: Path
) -> None:
    calibrated = quantized(file, [torch.randn(1, 3, 64, 96)])
    assert operators(quantized(file)) == operators(calibrated)


@pytest.mark.parametrize(
    ('name', 'loading'),
    [('onnxruntime', '_session'), ('openvino', '_compiled')],
)
def test_timer_times_the_integers(
    name: str, loading: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(name)
    runtime, image = RUNTIMES[name], torch.randn(IMAGE)
    loaded = []
    kind: Any = type(runtime)
    load = getattr(kind, loading)

    def seen(self: Any, content: bytes, *args: Any) -> Any:
        loaded.append(content)
        return load(self, content, *args)

    monkeypatch.setattr(kind, loading, seen)
    timer = LocalTimer(runtime, dtype='int8')
    content = onnx_bytes(two_convs(), image)
    ready = timer.ready('network', lambda: content, image)
    assert timer.times(dict(network=ready), 0.1)['network'] > 0
    assert loaded == [quantized(content, None, name)]
    assert timer.dtype == 'int8'


def test_calibration_needs_images_and_a_runtime(file: bytes) -> None:
    with pytest.raises(ValueError, match='got none'):
        quantized(file, [])
    with pytest.raises(ValueError, match="openvino, got 'torch'"):
        quantized(file, None, 'torch')
