"""What a work_dir has already is not destroyed, and may be moved."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from mmengine.runner import Runner

from hrnas_mm.resume.former_run import check_work_dir
from hrnas_mm.resume.pointer import latest_checkpoint


@pytest.fixture(scope='module')
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that has ended, with a best checkpoint."""
    folder = tmp_path_factory.mktemp('ended')
    torch.set_num_threads(1)
    search(folder).train()
    return folder


def search(folder: Path, resume: Any = False, **options: Any) -> Runner:
    cfg = tiny.config(folder, max_iters=8)
    cfg.default_hooks.checkpoint.update(save_best='accuracy', rule='less')
    cfg.merge_from_dict(options)
    if isinstance(resume, Path):
        cfg.load_from = str(resume)
    cfg.resume = bool(resume)
    return Runner.from_cfg(cfg)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.md5(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.suffix in ('.pth', '.json') and 'vis_data' not in str(path)
    }


@pytest.mark.parametrize(
    'options, which',
    [
        ({}, 'a run that has ended, at iter 8:'),
        (
            {'custom_hooks.0.threshold': 0.5},
            r'another custom_hooks\[0\].threshold, 0.97 and not 0.5:',
        ),
        ({'train_cfg.max_iters': 12}, 'train_cfg.max_iters, 8 and not 12:'),
        ({'randomness.seed': 4}, 'randomness.seed, 3 and not 4:'),
        ({'load_from': 'x.pth'}, 'load_from, None and not .x.pth.:'),
    ],
)
def test_another_run_is_refused(
    ended: Path, options: dict[str, Any], which: str
) -> None:
    before = contents(ended)
    with pytest.raises(ValueError, match=f'work_dir {ended} has .*{which}'):
        search(ended, **options).train()
    assert contents(ended) == before


def test_checkpoints_that_cannot_be_read_count_as_anothers(
    tmp_path: Path,
) -> None:
    (tmp_path / 'epoch_3.pth').write_text('of a training of mmseg')
    with pytest.raises(ValueError, match='epoch_3.pth, a checkpoint of an un'):
        check_work_dir(tiny.config(tmp_path))
    os.remove(tmp_path / 'epoch_3.pth')
    (tmp_path / 'searched').mkdir()
    check_work_dir(tiny.config(tmp_path))
    with pytest.raises(ValueError, match='has ended, searched: --resume'):
        check_work_dir(tiny.config(tmp_path), ['searched'])


def test_the_same_run_may_begin_again(tmp_path: Path, ended: Path) -> None:
    """It was broken off; how it loads and evaluates may differ."""
    shutil.copy(ended / 'iter_4.pth', tmp_path)
    cfg = search(ended).cfg.copy()
    cfg.work_dir = str(tmp_path)
    cfg.train_dataloader.num_workers = 2
    cfg.train_cfg.val_interval = 4
    check_work_dir(cfg)
    cfg.train_dataloader.batch_size = 2
    with pytest.raises(ValueError, match='batch_size, 4 and not 2'):
        check_work_dir(cfg)


def test_overwrite_leaves_nothing_of_the_former_run(
    tmp_path: Path, ended: Path
) -> None:
    shutil.copytree(ended, tmp_path / 'run')
    options: dict[str, Any] = {
        'custom_hooks.0.threshold': 0.5,
        'overwrite': True,
        'train_cfg.max_iters': 4,
        'load_from': str(tmp_path / 'run/iter_8.pth'),
    }
    inner = tmp_path / 'run/searched/retrained'
    inner.mkdir()
    for name in ('.lock', 'iter_9.pth'):  # of a run of its own
        (inner / name).touch()
    search(tmp_path / 'new', **options).train()
    search(tmp_path / 'run', **options).train()
    (inner / 'iter_9.pth').unlink()
    old, new = contents(tmp_path / 'run'), contents(tmp_path / 'new')
    assert list(old) == list(new)
    assert 'iter_8.pth' not in old
    config = (tmp_path / 'run/searched/config.py').read_text()
    assert 'overwrite' not in config


def test_resumes_from_where_it_has_been_moved_to(
    tmp_path: Path, ended: Path
) -> None:
    """A copy goes on from its own checkpoint, not from the original's."""
    assert not os.path.isabs((ended / 'last_checkpoint').read_text())
    shutil.copytree(ended, tmp_path / 'copy')
    shutil.copytree(ended, tmp_path / 'old')
    (tmp_path / 'old/last_checkpoint').write_text(str(ended / 'iter_8.pth'))
    for name in ('copy', 'old'):  # 'old' is as mmengine writes it
        found = latest_checkpoint(str(tmp_path / name))
        assert found == str(tmp_path / name / 'iter_8.pth')
    runner = search(tmp_path / 'copy', True, **{'train_cfg.max_iters': 10})
    runner.train()
    assert runner.iter == 10
    assert runner._load_from == str(tmp_path / 'copy/iter_8.pth')
    saved = torch.load(tmp_path / 'copy/iter_10.pth', weights_only=True)
    info = saved['message_hub']['runtime_info']
    assert info['last_ckpt'] == 'iter_10.pth'
    assert info['best_ckpt'].startswith('best_accuracy_iter_')


def test_a_pointer_names_local_files_only(tmp_path: Path) -> None:
    pointer = tmp_path / 'last_checkpoint'
    assert latest_checkpoint(str(tmp_path)) is None
    pointer.write_text('http://127.0.0.1:1/iter_8.pth')
    with pytest.raises(ValueError, match='must name a file on this machine'):
        latest_checkpoint(str(tmp_path))
    pointer.write_text('gone/iter_8.pth')
    with pytest.raises(FileNotFoundError, match="names 'gone/iter_8.pth', wh"):
        latest_checkpoint(str(tmp_path))


def going_on(ended: Path, folder: Path, best: Path) -> Path:
    """A checkpoint after which every evaluation is the best."""
    saved = torch.load(ended / 'iter_8.pth', weights_only=True)
    info = saved['message_hub']['runtime_info']
    info['best_ckpt'], info['best_score'] = str(best), 9.0
    torch.save(saved, folder / 'from.pth')
    return folder / 'from.pth'


def test_going_on_elsewhere_leaves_the_first_run_alone(
    tmp_path: Path, ended: Path
) -> None:
    before = contents(ended)
    (best,) = ended.glob('best_*')
    start = going_on(ended, tmp_path, best)
    search(tmp_path / 'run', start, **{'train_cfg.max_iters': 12}).train()
    assert contents(ended) == before
    assert list((tmp_path / 'run').glob('best_*'))


@pytest.mark.parametrize('name', ['kept.pth', 'kept/best_kept.pth', 'kept'])
def test_nothing_else_is_removed(
    tmp_path: Path, ended: Path, name: str
) -> None:
    """Whatever a checkpoint says that its best checkpoint is."""
    run = tmp_path / 'run'
    (run / 'kept').mkdir(parents=True)
    files = run / 'kept/best_kept.pth', run / 'kept.pth'
    for file in files:
        file.touch()
    start = going_on(ended, tmp_path, run / name)
    search(run, start, **{'train_cfg.max_iters': 12}).train()
    assert all(file.exists() for file in files)


def test_settings_that_a_checkpoint_overrides_are_named(
    tmp_path: Path, ended: Path
) -> None:
    shutil.copytree(ended, tmp_path / 'run')
    options = {
        'train_cfg.max_iters': 10,
        'train_dataloader.batch_size': 2,
        'optim_wrapper.optimizer.lr': 0.01,
        'log_level': 'WARNING',
    }
    search(tmp_path / 'run', True, **options).train()
    logs = (p.read_text() for p in (tmp_path / 'run').rglob('*.log'))
    text = '\n'.join(logs)
    assert (
        'Resume: optim_wrapper.optimizer.lr is 0.01 in the config, but 0.02 '
        'of the checkpoint is used'
    ) in text
    assert 'train_dataloader.batch_size is 2, it was 4' in text
    assert 'train_cfg.max_iters is 10, it was 8' in text


@pytest.mark.parametrize('known', [True, False])
def test_another_optimizer_is_refused(
    tmp_path: Path, ended: Path, known: bool
) -> None:
    """Also where the checkpoint does not have its config."""
    saved = torch.load(ended / 'iter_8.pth', weights_only=True)
    if not known:
        saved['meta']['cfg'] = ''
    torch.save(saved, tmp_path / 'from.pth')
    options = {
        'train_cfg.max_iters': 12,
        'optim_wrapper.optimizer': dict(_delete_=True, type='SGD', lr=0.1),
    }
    message = 'the optimizer .AdamW., but' if known else "no 'momentum', so"
    with pytest.raises(RuntimeError, match=f'from.pth cannot be .*{message}'):
        search(tmp_path / 'run', tmp_path / 'from.pth', **options).train()
