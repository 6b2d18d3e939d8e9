"""What all tests share: one thread each, a seed, the real data."""

from pathlib import Path

import mmengine.config.config
import pytest
import torch

from hrnas_mm.engine import results

SHARED = Path(__file__).parents[2] / 'shared' / 'data'


@pytest.fixture(autouse=True)
def _reproducible():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def shared_data():
    if not SHARED.is_dir():
        pytest.skip(f'needs the real data in {SHARED}')
    return SHARED


@pytest.fixture(autouse=True, scope='session')
def _unformatted_configs():
    """Dump configs as they are: yapf takes longer than the tests' runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            mmengine.config.config,
            'FormatCode',
            lambda text, **_: (text, True),
        )
        yield


@pytest.fixture(autouse=True, scope='session')
def _no_reports():
    """Leave out the page, half a second each, of hundreds of small runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, 'write_report', lambda *args: None)
        yield


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in this hook too
def pytest_collection_modifyitems(items):
    """Give a file to one process, where it does not group its tests itself."""
    for item in items:
        if item.get_closest_marker('xdist_group') is None:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
