"""Times of networks that run here, or that another program has taken."""

import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor, nn

from hrnas_mm.latency import (
    conditions_of,
    ready_networks,
    time_networks,
)
from hrnas_mm.runtimes import (
    RUNTIMES,
    CommandTimer,
    LocalTimer,
    Runtime,
    check_device,
    stopwatch,
)
from hrnas_mm.runtimes.devices import processor
from hrnas_mm.runtimes.runtime import version_of

IMAGE = torch.zeros(1, 3, 4, 4)
# Prints the length of the file, in ms, after other numbers.
PROGRAM = (
    f'{sys.executable} -c "import sys, os; '
    "print('run 1 of 3'); "
    "print('median =', os.path.getsize(sys.argv[1]), 'ms')\" {onnx}"
)


def test_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which a second passes between any two looks."""
    clock = count()
    monkeypatch.setattr(stopwatch.time, 'perf_counter', lambda: next(clock))
    timer = LocalTimer(RUNTIMES['channels_last'])
    assert (timer.form, timer.version) == ('torch', torch.__version__)
    ready = {
        name: timer.ready(name, lambda: nn.Conv2d(3, 3, 1), IMAGE)
        for name in 'ab'
    }
    assert timer.times(ready, 0.0) == dict(a=1000.0, b=1000.0)


class Reversed(Runtime):
    """A runtime of one class: it runs a network on the image upside down."""

    name = 'reversed'
    dtypes = ('float32', 'float16')

    def __init__(self) -> None:
        self.outputs: list[Any] = []

    def load(self, network: nn.Module, image: Tensor, dtype: str) -> Any:
        assert image.dtype == getattr(torch, dtype)
        return lambda: self.outputs.append(network(image.flip(-2)))


def test_a_runtime_is_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """It times whole networks, deployed, and needs no other line of code."""
    runtime = Reversed()
    monkeypatch.setitem(RUNTIMES, runtime.name, runtime)
    timer = LocalTimer(RUNTIMES['reversed'])
    model = tiny.TinyModel(dict(type='HRNASSupernet', **tiny.SUPERNET)).eval()
    conditions = conditions_of(timer, (3, 32, 48), 8)
    assert (conditions.backend, conditions.runtime) == ('reversed', 'torch')
    ready = ready_networks(dict(tiny=model), conditions, timer)
    clock = iter(range(10**6))  # each call takes a second
    monkeypatch.setattr(stopwatch.time, 'perf_counter', lambda: next(clock))
    times = time_networks(ready, timer, limit=0.0)
    assert (times.networks, times.reference) == ([1e3], 1e3)
    assert {out[0].shape for out in runtime.outputs if len(out) == 1} >= {
        model(torch.zeros(1, 3, 32, 48)).shape
    }
    with pytest.raises(ValueError, match='dtype must be float32 or float16'):
        check_device(runtime, 'cpu', 'bfloat16')
    with pytest.raises(NotImplementedError, match='reversed has no profiler'):
        runtime.profile(None, IMAGE)  # type: ignore[arg-type]


def test_what_has_two_names_is_loaded_once() -> None:
    loaded = []

    def network() -> nn.Module:
        loaded.append(nn.Conv2d(3, 3, 1))
        return loaded[-1]

    timer = LocalTimer(RUNTIMES['channels_last'])
    ready = timer.ready('network', network, IMAGE)
    assert list(timer.times(dict(a=ready, b=ready), 0.0)) == ['a', 'b']
    assert len(loaded) == 1


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'float16'])
def test_networks_compute_in_the_dtype(dtype: str) -> None:
    seen = set()

    class Network(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            seen.add((self.weight.dtype, x.dtype))
            return super().forward(x)

    timer = LocalTimer(RUNTIMES['channels_last'], 'cpu', dtype)
    assert (timer.device, timer.dtype) == (processor(), dtype)
    network = timer.ready('network', lambda: Network(3, 3, 1), IMAGE)
    timer.times(dict(network=network), 0.0)
    assert seen == {(getattr(torch, dtype),) * 2}


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (
            ('onnxruntime', 'cpu', 'float16'),
            'dtype must be float32 or int8 with',
        ),
        (('channels_last', 'cpu', 'int8'), 'dtype must be float32 or float16'),
        (('onnxruntime', 'cuda', 'float32'), 'device must be cpu with'),
        (('cuda_graph', 'cpu', 'float32'), 'device must be cuda with'),
        (('compile', 'tpu', 'float32'), 'device must be cpu or cuda'),
        pytest.param(
            ('compile', 'cuda', 'float32'),
            'device must be cpu without a GPU',
            marks=pytest.mark.skipif(
                torch.cuda.is_available(), reason='needs a machine without GPU'
            ),
        ),
    ],
)
def test_what_a_runtime_cannot_do(
    options: tuple[str, str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        runtime, device, dtype = options
        check_device(RUNTIMES[runtime], device, dtype)


def test_a_program_is_run_once_for_each_file(tmp_path: Path) -> None:
    timer = CommandTimer(
        str(tmp_path), 'abacus', PROGRAM, r'median = (\d+)', 'float16'
    )
    assert (timer.device, timer.dtype) == ('abacus', 'float16')
    ready = {
        '1: 4-4 at 2x2 k3': timer.ready(
            '1: 4-4 at 2x2 k3', lambda: b'abc', IMAGE
        ),
        '1: 4-4 at 2x2 k5': timer.ready(
            '1: 4-4 at 2x2 k5', lambda: b'abcde', IMAGE
        ),
    }
    assert sorted(ready.values()) == [
        '1-4-4-at-2x2-k3.onnx',
        '1-4-4-at-2x2-k5.onnx',
    ]
    assert list(timer.times(ready, 0.0).values()) == [3.0, 5.0]
    table = (tmp_path / 'times.csv').read_text()
    assert table == '1-4-4-at-2x2-k3.onnx,3.0\n1-4-4-at-2x2-k5.onnx,5.0\n'
    stopped = CommandTimer(str(tmp_path), 'abacus', 'false {onnx}')
    assert list(stopped.times(ready, 0.0).values()) == [3.0, 5.0]


def test_a_program_goes_on_from_rows_of_any_kind(tmp_path: Path) -> None:
    """A last line without an end, and output that is no text."""
    program = 'import sys; sys.stdout.buffer.write(bytes([255, 32, 53]))'
    timer = CommandTimer(
        str(tmp_path), 'abacus', f'{sys.executable} -c "{program}" {{onnx}}'
    )
    ready = {name: timer.ready(name, lambda: b'abc', IMAGE) for name in 'ab'}
    (tmp_path / 'times.csv').write_text('a.onnx,1.5')
    for _ in range(2):
        assert timer.times(ready, 0.0) == dict(a=1.5, b=5.0)


def test_a_runtime_may_be_installed_by_another_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Builds for GPUs are the package onnxruntime-gpu."""

    class Other(Runtime):
        name, packages = 'other', ('no_such_package',)

    torch_version = version_of(RUNTIMES['channels_last'])
    assert torch_version.startswith(torch.__version__.split('+')[0])
    module = SimpleNamespace(__version__='1.2')
    monkeypatch.setitem(sys.modules, 'no_such_package', module)
    assert version_of(Other()) == '1.2'  # type: ignore[abstract]


def test_times_from_elsewhere(tmp_path: Path) -> None:
    timer = CommandTimer(str(tmp_path), 'abacus', None)
    ready = {name: timer.ready(name, lambda: b'abc', IMAGE) for name in 'ab'}
    with pytest.raises(ValueError, match='2 of 2 are missing, such as a.onnx'):
        timer.times(ready, 0.0)
    path = tmp_path / 'times.csv'
    path.write_text('file,ms\n/there/a.onnx,1.5\nb.onnx,2\n')
    assert timer.times(ready, 0.0) == dict(a=1.5, b=2.0)
    path.write_text('\ufeffa.onnx ,1.5\nb.onnx, 2')  # from a spreadsheet
    assert timer.times(ready, 0.0) == dict(a=1.5, b=2.0)
    for wrong in (
        'a.onnx,fast', 'a.onnx,-1', 'a.onnx,nan', 'a.onnx', 'a.onnx;1.5',
    ):  # fmt: skip
        path.write_text(f'{wrong}\n')
        with pytest.raises(ValueError, match='must have rows .* got'):
            timer.times(ready, 0.0)
    path.write_text('file,µs\na.onnx,1\n', encoding='latin-1')
    with pytest.raises(ValueError, match='times.csv must be a CSV file in UT'):
        timer.times(ready, 0.0)


@pytest.mark.parametrize(
    ('text', 'ms'),
    [
        ('took 12.25 ms\n', 12.25), ('2 runs\n1e-1', 0.1), ('7', 7.0),
        ('2 runs,12.5ms.', 12.5), ('gemm-2.5', 2.5), ('x=.5 in mind', 0.5),
    ],
)  # fmt: skip
def test_the_last_number_counts(text: str, ms: float, tmp_path: Path) -> None:
    timer = CommandTimer(str(tmp_path), 'abacus', 'echo {onnx}')
    assert float(timer.pattern.findall(text)[0]) == ms


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (('run it',), 'must contain {onnx}'),
        (("run '{onnx}",), 'must be a command line, .*: No closing quo'),
        (('run {onnx}', '('), 'must be a regular expression'),
        (('run {onnx}', '[0-9]+'), 'must have a group'),
    ],
)
def test_wrong_options(
    options: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=words):
        CommandTimer(str(tmp_path), 'abacus', *options)


@pytest.mark.parametrize(
    ('command', 'words'),
    [
        (f'{sys.executable} -c "raise SystemExit(3)" {{onnx}}', 'exit code 3'),
        (f'{sys.executable} -c "print(\'none\')" {{onnx}}', "is 'none'"),
        *(
            (
                f'{sys.executable} -c "print(\'{said}\')" {{onnx}}',
                f"positive .* got '{number}'",
            )
            for said, number in {
                '0': '0',
                'took -3.5 ms': '-3.5',
                '9 runs: nan ms': 'nan',
                '12,5 ms': '12,5',
                '1,234.5 ms': '1,234.5',
            }.items()
        ),
        ('no-such-program {onnx}', 'cannot be run: .*no-such-program'),
    ],
)
def test_a_program_that_fails(
    command: str, words: str, tmp_path: Path
) -> None:
    timer = CommandTimer(str(tmp_path), 'abacus', command)
    ready = {'a': timer.ready('a', lambda: b'abc', IMAGE)}
    with pytest.raises(RuntimeError, match=words):
        timer.times(ready, 0.0)
    assert not (tmp_path / 'times.csv').exists()


def test_warnings_are_no_results(tmp_path: Path) -> None:
    """A program may also write its results to where others write warnings."""
    warned = 'import sys; print(2, file=sys.stderr)'
    for said, ms in ((f'{warned}; print(1.5)', 1.5), (warned, 2.0)):
        command = f'{sys.executable} -c "{said}" {{onnx}}'
        timer = CommandTimer(str(tmp_path / f'{ms}'), 'abacus', command)
        ready = {'a': timer.ready('a', lambda: b'abc', IMAGE)}
        assert timer.times(ready, 0.0) == dict(a=ms)


def test_a_pattern_that_finds_no_number(tmp_path: Path) -> None:
    command = f'{sys.executable} -c "print(\'fast\')" {{onnx}}'
    timer = CommandTimer(str(tmp_path), 'abacus', command, '(f.*)')
    ready = {'a': timer.ready('a', lambda: b'abc', IMAGE)}
    with pytest.raises(RuntimeError, match="positive .* got 'fast'"):
        timer.times(ready, 0.0)


def test_a_folder_is_of_one_table(tmp_path: Path) -> None:
    CommandTimer(str(tmp_path), 'abacus', None).keep_to_(dict(batch=1))
    CommandTimer(str(tmp_path), 'abacus', None).keep_to_(dict(batch=1))
    other = CommandTimer(str(tmp_path), 'slide rule', 'run {onnx}')
    with pytest.raises(ValueError, match='another batch, command, device: '):
        other.keep_to_(dict(batch=2))
