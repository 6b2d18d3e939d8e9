"""No code in a checkpoint runs, wherever the checkpoint comes from."""

import json
import pickle
import tarfile
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.registry import HOOKS, MODELS
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner.checkpoint import load_checkpoint
from torch import nn

from hrnas_mm.building import build_model, build_runner
from hrnas_mm.compat import plain_loading
from hrnas_mm.files import load_plain, read_checkpoint

REFUSED = pytest.raises((ValueError, RuntimeError), match='could run code')


class Malice:
    """Unpickled, it writes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, 'w')


@pytest.fixture
def proof(tmp_path: Path) -> Iterator[str]:
    """The file that malice writes."""
    yield str(tmp_path / 'proof')
    assert not (tmp_path / 'proof').exists()


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address at which a server gives the files of a folder."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    monkeypatch.setattr(SimpleHTTPRequestHandler, 'log_message', print)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()
        thread.join()


def spoil(path: Path, proof: str) -> str:
    torch.save(dict(state_dict={}, meta=dict(note=Malice(proof))), path)
    return str(path)


def config(work_dir: Path, **change: Any) -> Config:
    cfg = tiny.config(work_dir, max_iters=1)
    cfg.merge_from_dict(change)
    return cfg


@HOOKS.register_module(force=True)
class LoadAtTheEnd(Hook):
    def after_train(self, runner: Runner) -> None:
        runner.load_checkpoint(runner.cfg.late)


@MODELS.register_module(force=True)
class WithTeacher(tiny.TinyModel):
    def __init__(self, teacher: str, **options: Any) -> None:
        super().__init__(**options)
        load_checkpoint(nn.Linear(1, 1), teacher)


def flexible(cfg: Config) -> None:
    cfg.runner_type, cfg.env_cfg, cfg.custom_hooks = 'FlexibleRunner', {}, []
    build_runner(cfg).train()


def with_init_cfg(cfg: Config, url: str) -> None:
    runner = build_runner(cfg)
    runner.model.init_cfg = dict(type='Pretrained', checkpoint=url)
    runner.train()


WAYS: dict[str, Callable[[Path, str], object]] = {
    'load_from': lambda folder, url: build_runner(
        config(folder, load_from=url)
    ).train(),
    'resume': lambda folder, url: build_runner(
        config(folder, load_from=url, resume=True)
    ).train(),
    'test': lambda folder, url: build_runner(
        config(folder, load_from=url)
    ).test(),
    'init_cfg': lambda folder, url: with_init_cfg(config(folder), url),
    'a hook': lambda folder, url: build_runner(
        config(
            folder,
            late=url,
            custom_hooks=[
                dict(type='ExactResumeHook'),
                dict(type='LoadAtTheEnd'),
            ],
        )
    ).train(),
    'a teacher': lambda folder, url: build_model(
        config(folder, model=dict(type='WithTeacher', teacher=url))
    ),
    'a teacher in a run': lambda folder, url: build_runner(
        config(folder, model=dict(type='WithTeacher', teacher=url))
    ),
    'FlexibleRunner': lambda folder, url: flexible(
        config(folder, load_from=url)
    ),
}


@pytest.mark.parametrize('way', WAYS)
def test_no_way_of_loading_runs_code(
    way: str, tmp_path: Path, address: str, proof: str
) -> None:
    spoil(tmp_path / 'a.pth', proof)
    with REFUSED:
        WAYS[way](tmp_path / 'run', f'{address}/a.pth')


@pytest.mark.parametrize(
    'scheme',  # https is http, and pavi's client is not to be had
    [s for s in CheckpointLoader._schemes if s not in ('https://', 'pavi://')],
)
def test_no_scheme_runs_code(
    scheme: str,
    tmp_path: Path,
    address: str,
    proof: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """torch's default before 2.6 was to run it."""
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    path = spoil(tmp_path / 'a.pth', proof)
    where = dict.fromkeys(('a', 'b'), f'{address}/a.pth')
    where['here'] = 'a.pth'
    (tmp_path / 'open_mmlab.json').write_text(json.dumps(where))
    for module in ('get_torchvision_models', 'get_mmcls_models'):
        monkeypatch.setattr(
            f'mmengine.runner.checkpoint.{module}', lambda: where
        )
    monkeypatch.setattr(
        'mmengine.runner.checkpoint.get_file_backend',
        lambda *args, **options: Namespace(
            get=lambda name: Path(path).read_bytes()
        ),
    )
    names = {'http://': [f'{address}/a.pth'], '': [path]}.get(scheme)
    plain = scheme.replace(r'(\S+\:)?', '')
    for name in names or [f'{plain}{key}' for key in ('a', 'b')]:
        with REFUSED, plain_loading():
            CheckpointLoader.load_checkpoint(name, 'cpu')
    if 'open' in scheme:
        with REFUSED, plain_loading():
            CheckpointLoader.load_checkpoint(f'{plain}here', 'cpu')


def test_checkpoints_of_model_zoos_load(tmp_path: Path, address: str) -> None:
    """What they hold beside the weights is skipped."""
    model = build_model(config(tmp_path))
    buffer = HistoryBuffer()
    buffer.update(1.5)
    meta = dict(
        cfg=ConfigDict(a=dict(b=[ConfigDict(c=1)])),
        args=Namespace(lr=0.1),
        best=np.float64(3),
        dataset_meta=dict(palette=np.ones((2, 3)), of=np.array(['a', 'b'])),
    )
    checkpoint = dict(
        meta=meta,
        message_hub=dict(
            log_scalars=dict(loss=buffer),
            runtime_info=dict(epoch=np.int64(1)),
            resumed_keys={},
        ),
        state_dict=model.state_dict(),
    )
    torch.save(checkpoint, tmp_path / 'zoo.pth')
    torch.save(
        checkpoint,
        tmp_path / 'old.pth',
        _use_new_zipfile_serialization=False,
    )
    for name in (f'{address}/zoo.pth', str(tmp_path / 'old.pth')):
        runner = build_runner(config(tmp_path / 'run', load_from=name))
        runner.call_hook('before_run')
        runner.load_or_resume()
        torch.testing.assert_close(
            runner.model.state_dict(), model.state_dict(), rtol=0, atol=0
        )
        cfg = config(tmp_path / 'again', load_from=name, resume=True)
        with pytest.raises(RuntimeError, match="no 'rng_state'.*load_from"):
            build_runner(cfg).train()


def test_stand_ins_run_nothing(tmp_path: Path, proof: str) -> None:
    """The file calls what the name leads to, as a history does."""

    class Chain:
        def __reduce__(self) -> tuple[Any, ...]:
            return getattr, (np.ndarray, 'tofile')

    class Call:
        def __reduce__(self) -> tuple[Any, ...]:
            return np.ndarray.tofile, (np.ones(2), proof)

    torch.save(dict(note=Chain()), tmp_path / 'a.pth')
    assert not callable(read_checkpoint(str(tmp_path / 'a.pth'))['note'])
    torch.save(dict(note=Call()), tmp_path / 'b.pth')
    with REFUSED:
        read_checkpoint(str(tmp_path / 'b.pth'))


def test_tar_archives_never_reach_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch before 2.6 unpickled what is in them, weights_only or not."""
    monkeypatch.setattr('hrnas_mm.files._load', pickle.loads)
    (tmp_path / 'pickle').write_bytes(b'')
    with tarfile.open(tmp_path / 'a.pth', 'w') as archive:
        archive.add(tmp_path / 'pickle', 'pickle')
    with REFUSED as error:
        load_plain(str(tmp_path / 'a.pth'))
    assert 'tar archive' in str(error.value.__cause__)


def test_code_that_loads_its_own_files_still_can(tmp_path: Path) -> None:
    """Outside of what loads checkpoints, torch is as it was."""
    torch.save(dict(note=Namespace()), tmp_path / 'a.pth')
    with plain_loading():
        pass
    path = tmp_path / 'a.pth'
    assert isinstance(torch.load(path, weights_only=False)['note'], Namespace)
