"""What all tests share: one thread each, a seed, the real data."""

import gc
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import mmengine.config.config
import mmengine.optim.optimizer.amp_optimizer_wrapper as amp
import pytest
import torch
import yapf.yapflib.yapf_api
from torch import nn

from hrnas_mm.engine import results
from hrnas_mm.search import Trace, cost_model, trace

# One thread of a forked process makes torch's thread pool anew; several at
# once, as autograd's, may find none ("Invalid thread pool!").
os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
# What a forked process does not collect, it does not copy.
os.register_at_fork(before=gc.freeze, after_in_parent=gc.unfreeze)
# The first backward pass of a process starts a thread per GPU, and a process
# that has some cannot be forked. While Dynamo compiles, a CUDA build of torch
# counts eight, on any machine; so let it be this one.
torch.ones(1, requires_grad=True).sum().backward()
# The frameworks are a million objects, which each full collection visits.
gc.set_threshold(50_000, 20, 50)

SHARED = Path(__file__).parents[2] / 'shared' / 'data'


@pytest.fixture(autouse=True)
def _reproducible() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def cpu_amp(monkeypatch: pytest.MonkeyPatch) -> None:
    """mmengine's AMP wrapper asserts a GPU; torch's own parts do not."""
    monkeypatch.setattr(amp, 'is_cuda_available', lambda: True)
    scaler = partial(torch.amp.GradScaler, 'cpu')
    monkeypatch.setattr(amp, 'GradScaler', scaler)
    autocast = partial(torch.autocast, 'cpu')
    monkeypatch.setattr('mmengine.runner.amp.autocast', autocast)


@pytest.fixture
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f'needs the real data in {SHARED}')
    return SHARED


@pytest.fixture(autouse=True, scope='session')
def _unformatted_configs() -> Iterator[None]:
    """Dump configs as they are: yapf takes longer than the tests' runs."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (mmengine.config.config, yapf.yapflib.yapf_api):
            patch.setattr(
                module,
                'FormatCode',
                lambda text, **_: (text, True),
                raising=False,
            )
        yield


@pytest.fixture(autouse=True, scope='session')
def _no_reports() -> Iterator[None]:
    """Leave out the page, half a second each, of hundreds of small runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, 'write_report', lambda *args: None)
        yield


@pytest.fixture(autouse=True, scope='session')
def _traced_once() -> Iterator[None]:
    """Trace equal models once: it takes as long as the training of most."""
    traces: dict[tuple[Any, ...], Trace] = {}

    def trace_once(
        model: nn.Module,
        input_shape: Sequence[int],
        traced: nn.Module | None = None,
    ) -> Trace:
        parts = (_facts(x) for x in (model, traced) if x is not None)
        key = (tuple(input_shape), *parts)
        if key not in traces:
            traces[key] = trace(model, input_shape, traced)
        return traces[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost_model, 'trace', trace_once)
        yield


def _facts(model: nn.Module) -> tuple[Any, ...]:
    """All that a trace can depend on: modules, their settings, and shapes."""
    settings = [
        (name, type(module), key, repr(value))
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, bool | int | float | str | tuple | list | None)
    ]
    shapes = [(name, x.shape) for name, x in model.named_parameters()]
    return *settings, *shapes


LONGEST = ('tasks', 'tools', 'starter', 'engine', 'resume', 'deploy')


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in this hook too
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Start with what takes longest; share what is made once for a file.

    Tests with a fixture of their file's or session's scope run in one process,
    where it is made once; all others in whichever is free.
    """
    items.sort(key=lambda item: item.path.parent.name not in LONGEST)
    for item in items:
        if item.get_closest_marker('xdist_group') is None and _shares(item):
            item.add_marker(pytest.mark.xdist_group(item.path.name))


def _shares(item: pytest.Function) -> bool:
    fixtures = item._fixtureinfo.name2fixturedefs
    return any(
        fixtures[name][-1].scope in ('module', 'session')
        for name in item.fixturenames
        if not name.startswith('_')
        and name in fixtures
        and name != 'tmp_path_factory'
    )
