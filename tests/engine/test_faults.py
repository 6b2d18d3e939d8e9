"""What goes wrong around a run: disks, files, numbers, other settings."""

import errno
import os
import pickle
import re
import resource
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from killing import everything, train
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from hrnas_mm.building import load_network
from hrnas_mm.resume.files import telling_of_full_disk
from hrnas_mm.resume.lock import lock_
from hrnas_mm.runners import bare_model
from hrnas_mm.search import (
    BudgetController,
    SearchUnit,
    architecture_of,
    named_search_units,
)


def run(cfg: Config) -> Runner:
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def log_of(work_dir: Path) -> str:
    return '\n'.join(p.read_text() for p in work_dir.rglob('*.log'))


def resumed(work_dir: Path, **hook: Any) -> Config:
    cfg = tiny.config(work_dir, **hook)
    cfg.resume = True
    cfg.experiment_name += f'-{len(os.listdir(work_dir))}'
    return cfg


@HOOKS.register_module(force=True)
class Spoil(Hook):
    """Calls a function with the runner before some iteration."""

    priority = 'VERY_LOW'

    def __init__(self, at: int, action: Callable[[Runner], None]) -> None:
        self.at, self.action = at, action

    def before_train_iter(
        self, runner: Runner, *args: Any, **kwargs: Any
    ) -> None:
        if runner.iter == self.at:
            self.action(runner)


def spoiled(cfg: Config, at: int, action: Callable[[Runner], None]) -> Runner:
    runner = Runner.from_cfg(cfg)
    runner.register_hook(Spoil(at, action))
    return runner


# Numbers


def first_unit(runner: Runner) -> tuple[str, SearchUnit]:
    return next(iter(named_search_units(bare_model(runner)).items()))


def test_importance_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    names = []

    def spoil(runner: Runner) -> None:
        name, unit = first_unit(runner)
        unit.alpha.data[1] = torch.nan
        names.append(name)

    with pytest.raises(RuntimeError) as error:
        spoiled(tiny.config(tmp_path), 6, spoil).train()
    message = str(error.value)
    assert 'search stopped at iteration 6: loss_ce is nan' in message
    assert f'importance factors of {names[0]} must be finite' in message
    assert f'The last whole checkpoint is {tmp_path}/iter_4.pth' in message
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == ['iter_4.pth']


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_loss_that_is_not_finite_stops_the_run(
    tmp_path: Path, value: float
) -> None:
    def spoil(runner: Runner) -> None:
        model: Any = bare_model(runner)
        parse = model.parse_losses
        model.parse_losses = lambda losses: parse(
            dict(losses, loss_other=torch.tensor(value, requires_grad=True))
        )

    with pytest.raises(
        RuntimeError, match=f'iteration 2: loss_other is {value}'
    ):
        spoiled(tiny.config(tmp_path), 2, spoil).train()


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    """The loss was finite, but its gradient was not."""

    def spoil(runner: Runner) -> None:
        model: Any = bare_model(runner)
        model.head.weight.register_hook(lambda grad: grad * torch.inf)

    with pytest.raises(RuntimeError, match='iteration 7: head.weight must'):
        spoiled(tiny.config(tmp_path), 7, spoil).train()
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == ['iter_4.pth']


# Disks


def test_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    """A limit on the size of files: writing fails half way, for real."""

    def fill(runner: Runner) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    cfg = tiny.config(tmp_path)
    cfg.default_hooks.checkpoint.max_keep_ckpts = 1
    # In a process of its own, for the limit lasts.
    process = os.fork()
    if not process:
        code = 1
        try:
            spoiled(cfg, 6, fill).train()
        except RuntimeError as error:
            expected = (
                f'{tmp_path}/iter_8.pth could not be written',
                f'last whole checkpoint is {tmp_path}/iter_4.pth',
                '--resume',
            )
            code = 0 if all(part in str(error) for part in expected) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert (tmp_path / 'iter_4.pth').exists()
    assert not (tmp_path / 'iter_8.pth').exists()
    assert not list(tmp_path.glob('.tmp*'))
    whole = run(tiny.config(tmp_path / 'whole'))
    again = run(resumed(tmp_path))
    torch.testing.assert_close(
        everything(again), everything(whole), rtol=0, atol=0
    )


def test_a_full_disk_says_what_to_do_whoever_writes(
    tmp_path: Path, search: Path
) -> None:
    cfg = tiny.config(search)
    cfg.experiment_name += '-full'
    runner = Runner.from_cfg(cfg)
    advice = 'No space left.* last whole .*iter_8.pth. Make room, .*--resume'
    with (
        pytest.raises(RuntimeError, match=advice),
        telling_of_full_disk(runner),
    ):
        raise OSError(errno.ENOSPC, 'No space left on device')
    with pytest.raises(PermissionError), telling_of_full_disk(runner):
        raise PermissionError(errno.EACCES, 'not mine')


def test_folder_that_is_gone(tmp_path: Path) -> None:
    def remove(runner: Runner) -> None:
        for hook in runner.hooks:
            if type(hook).__name__ == 'CheckpointHook':
                hook.out_dir = str(tmp_path / 'file' / 'folder')

    (tmp_path / 'file').write_text('')
    with pytest.raises(
        RuntimeError, match='could not be written: .*Not a dir'
    ):
        spoiled(tiny.config(tmp_path), 2, remove).train()


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    from hrnas_mm.files import replacing

    path = tmp_path / 'file.txt'
    path.write_text('good')
    with pytest.raises(KeyboardInterrupt), replacing(str(path)) as new:
        Path(new).write_text('half')
        raise KeyboardInterrupt
    assert path.read_text() == 'good'
    assert os.listdir(tmp_path) == ['file.txt']
    with replacing(str(path)) as new, replacing(str(path)) as other:
        Path(new).write_text('better')
        Path(other).write_text('of another process')
    assert path.read_text() == 'better'
    assert os.listdir(tmp_path) == ['file.txt']


def test_two_processes_in_one_work_dir(tmp_path: Path) -> None:
    ends, waits = os.pipe(), os.pipe()
    process = os.fork()
    if not process:
        lock_(str(tmp_path))
        os.write(ends[1], b'x')
        os.read(waits[0], 1)
        os._exit(0)
    os.read(ends[0], 1)
    half = tmp_path / f'.hrnas_mm_{"0" * 32}_iter_4.pth'
    half.write_text('of the other one')
    with pytest.raises(
        RuntimeError, match=f'{tmp_path} is in use by process {process} on '
    ):
        Runner.from_cfg(tiny.config(tmp_path)).train()
    assert half.exists()
    os.write(waits[1], b'x')
    os.waitpid(process, 0)
    run(tiny.config(tmp_path, max_iters=4))
    assert not half.exists()
    cfg = tiny.config(tmp_path, max_iters=4)
    cfg.overwrite = True
    run(cfg)  # the same process, once more


def test_only_what_a_run_left_half_written_is_removed(tmp_path: Path) -> None:
    """And nothing of the user's, whatever it is called and where it is."""
    name = f'.hrnas_mm_{"0" * 32}_model.pth'
    work_dir, outside = tmp_path / 'run', tmp_path / 'outside'
    theirs = [
        outside / name,
        outside / '0.9' / name,
        work_dir / '.tmp_notes',
        work_dir / f'.tmp_{"0" * 32}_model.pth',
        work_dir / 'data' / name,
        work_dir / 'searched' / '.tmp_mine',
        work_dir / 'searched/retrained' / name,
    ]
    ours = [work_dir / name, work_dir / 'searched' / name]
    for path in (*theirs, *ours):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('half')
    (work_dir / 'milestones').symlink_to(outside)
    (work_dir / f'.hrnas_mm_{"1" * 32}_a').symlink_to(outside / name)
    (work_dir / f'.hrnas_mm_{"2" * 32}_a').mkdir()
    run(tiny.config(work_dir, milestones=[0.9]))
    assert all(path.read_text() == 'half' for path in theirs)
    assert not any(path.exists() for path in ours)
    assert len(list(work_dir.glob('.hrnas*'))) == 2  # a link and a folder
    assert (outside / '0.9/model.pth').exists()


# Checkpoints


@pytest.fixture(scope='module')
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that was broken off after its last checkpoint but one."""
    folder = tmp_path_factory.mktemp('search')
    torch.set_num_threads(1)
    assert train(tiny.config(folder, max_iters=8)) == 0
    return folder


def test_note_that_was_cut_off_is_made_up_for(
    tmp_path: Path, search: Path
) -> None:
    for name in ('iter_4.pth', 'iter_8.pth'):
        (tmp_path / name).write_bytes((search / name).read_bytes())
        os.utime(tmp_path / name, (int(name[5]), int(name[5])))
    (tmp_path / 'last_checkpoint').write_text('')
    cfg = resumed(tmp_path)
    cfg.log_level = 'INFO'
    assert run(cfg).iter == 12
    assert f'Load checkpoint from {tmp_path}/iter_8.pth' in log_of(tmp_path)


def load_from(work_dir: Path, path: Path | str, resume: bool = True) -> Config:
    cfg = tiny.config(work_dir)
    cfg.load_from, cfg.resume = str(path), resume
    return cfg


@pytest.mark.parametrize('length', [0, 100, 20_000])
def test_truncated_checkpoint(
    tmp_path: Path, search: Path, length: int
) -> None:
    path = tmp_path / 'cut.pth'
    path.write_bytes((search / 'iter_4.pth').read_bytes()[:length])
    with pytest.raises(RuntimeError, match='cut.pth cannot be loaded: .*'):
        run(load_from(tmp_path / 'run', path))


def edited(
    path: Path, search: Path, edit: Callable[[dict[str, Tensor]], None]
) -> Path:
    checkpoint = torch.load(search / 'iter_4.pth')
    edit(checkpoint['state_dict'])
    torch.save(checkpoint, path)
    return path


def test_checkpoint_of_another_network(tmp_path: Path, search: Path) -> None:
    def rename(state_dict: dict[str, Tensor]) -> None:
        for key in list(state_dict):
            state_dict['other.' + key] = state_dict.pop(key)

    path = edited(tmp_path / 'other.pth', search, rename)
    for resume in (True, False):
        with pytest.raises(RuntimeError) as error:
            run(load_from(tmp_path / f'run{resume}', path, resume))
        assert 'other.pth cannot be loaded: it is of another' in str(
            error.value
        )
        assert "'other.backbone.stem.0.conv.weight'" in str(error.value)
    cfg = load_from(tmp_path / 'test', path, False)
    with pytest.raises(RuntimeError, match='it is of another network'):
        Runner.from_cfg(cfg).test()


def replace_head(state_dict: dict[str, Tensor]) -> None:
    state_dict['head.weight'] = torch.ones(7, 6, 1, 1)
    state_dict['head.bias'] = torch.ones(7)


def rename_head(state_dict: dict[str, Tensor]) -> None:
    for kind in ('weight', 'bias'):
        state_dict[f'decode_head.{kind}'] = state_dict.pop(f'head.{kind}')


def lose_stem(state_dict: dict[str, Tensor]) -> None:
    for name in list(state_dict):
        if 'backbone.stem.0' in name:
            del state_dict[name]


def deepen(state_dict: dict[str, Tensor]) -> None:
    state_dict['backbone.stages.7.weight'] = torch.ones(3)


def add_parts(state_dict: dict[str, Tensor]) -> None:
    state_dict['auxiliary_head.weight'] = torch.ones(3)
    state_dict['ema.backbone.weight'] = torch.ones(3)
    state_dict['head.relative_position_index'] = torch.ones(3)
    del state_dict['backbone.stem.0.norm.num_batches_tracked']


def in_ddp(state_dict: dict[str, Tensor]) -> None:
    for name in list(state_dict):
        state_dict[f'module.{name}'] = state_dict.pop(name)


@pytest.mark.parametrize(
    'edit, messages',
    [
        (replace_head, ['head.weight.*7, 6, 1, 1', 'head.bias.*7.*4']),
        (rename_head, ['head.weight is missing; head.bias is missing$']),
        (lose_stem, ['backbone.stem.0.conv.weight is missing', 'and . more']),
        (deepen, ['backbone.stages.7.weight is not in the model']),
        (add_parts, []),
        (in_ddp, []),
    ],
)
def test_a_head_that_does_not_fit_is_not_evaluated(
    tmp_path: Path,
    search: Path,
    edit: Callable[[dict[str, Tensor]], None],
    messages: list[str],
) -> None:
    """Neither tested nor exported; a training begins with what fits."""
    path = edited(tmp_path / 'other.pth', search, edit)
    cfg = load_from(tmp_path / 'test', path, False)
    for function in (
        lambda: Runner.from_cfg(cfg).test(),
        lambda: load_network(cfg, str(path)),
    ):
        if not messages:
            function()
            continue
        with pytest.raises((ValueError, RuntimeError)) as error:
            function()
        start = 'other.pth cannot be loaded: it is of another network than'
        for message in (start, *messages):
            assert re.search(message, str(error.value))
        assert '\n' not in str(error.value)
    cfg = tiny.config(tmp_path / 'train', max_iters=1, interval=1)
    cfg.load_from = str(path)
    run(cfg)


def test_checkpoint_of_a_larger_supernet(tmp_path: Path, search: Path) -> None:
    def widen(state_dict: dict[str, Tensor]) -> None:
        key = 'backbone.fuse.mixconv.paths.k3.depthwise.norm.weight'
        state_dict[key] = torch.ones(999)

    path = edited(tmp_path / 'wide.pth', search, widen)
    match = r'backbone.fuse.mixconv.k3 must have 0 to \d+ elements, got 999'
    with pytest.raises(RuntimeError, match=match):
        run(load_from(tmp_path / 'run', path))
    with pytest.raises(RuntimeError, match=match):
        Runner.from_cfg(load_from(tmp_path / 'test', path, False)).test()


@pytest.mark.parametrize('classes', [9, 2])
def test_checkpoint_of_another_head(
    tmp_path: Path, search: Path, classes: int
) -> None:
    """Resuming is refused; fine-tuning from it is what people do."""

    def change(state_dict: dict[str, Tensor]) -> None:
        state_dict['head.weight'] = torch.zeros(classes, 6, 1, 1)

    path = edited(tmp_path / 'head.pth', search, change)
    message = rf'head.weight has shape \({classes}, 6, 1, 1\), the model'
    with pytest.raises(RuntimeError, match=message):
        run(load_from(tmp_path / 'run', path))
    runner = run(load_from(tmp_path / 'tune', path, resume=False))
    assert runner.iter == 12


def test_resuming_from_what_is_no_checkpoint_of_a_run(
    tmp_path: Path, search: Path
) -> None:
    path = search / 'searched/model.pth'
    with pytest.raises(
        RuntimeError, match="has no 'message_hub': .*load_from"
    ):
        run(load_from(tmp_path, path))


ALPHA = 'backbone.fuse.mixconv.paths.k3.depthwise.norm.weight'
DEEP = 'x' + '.x' * 20_000


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(state_dict=[1]), 'state_dict must be tensors by their names'),
        (dict(state_dict={1: torch.ones(1)}), 'got 1 of type Tensor'),
        (dict(state_dict={ALPHA: 5}), 'norm.weight. of type int'),
        (dict(state_dict={ALPHA: torch.tensor(1.0)}), 'one dimension'),
        (dict(state_dict={DEEP: torch.ones(1)}), 'it is of another network'),
        (dict(search=dict(history=5)), 'says of its search is damaged'),
        (dict(search=5), 'says of its search is damaged'),
        (dict(optimizer=5), '.pop'),
        (dict(meta=[]), 'indices'),
        (dict(rng_state=[5]), 'subscript'),
        (dict(early_stopping=5), 'not iterable'),
        (dict(message_hub=dict(log_scalars=5)), '.items'),
    ],
)
def test_damaged_checkpoints_are_named(
    tmp_path: Path, search: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / 'bad.pth'
    torch.save({**torch.load(search / 'iter_4.pth'), **change}, path)
    cfg = load_from(tmp_path / 'run', path)
    cfg.custom_hooks.append(
        dict(type='EarlyStoppingHook', monitor='accuracy', rule='greater')
    )
    with pytest.raises(RuntimeError, match=f'bad.pth cannot .*{message}'):
        run(cfg)
    if 'state_dict' in change:
        for function in (
            lambda: tiny.supernet(arch=str(path)),
            lambda: load_network(tiny.config(tmp_path), str(path)),
        ):
            with pytest.raises(ValueError, match='bad.pth'):
                function()


class Malice:
    """Unpickled, it writes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, 'w')


@pytest.mark.parametrize('plain', [False, True], ids=['zip', 'pickle'])
def test_loading_runs_no_code(
    tmp_path: Path, search: Path, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither as a checkpoint, nor as arch=, nor as pretrained weights.

    Whatever the environment says, and whatever torch's default is, which
    before 2.6 was to run it.
    """
    if plain:
        monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    else:
        monkeypatch.setattr(
            torch.serialization, '_default_to_weights_only', lambda m: False
        )
    checkpoint = torch.load(search / 'searched/model.pth')
    checkpoint['meta']['note'] = Malice(str(tmp_path / 'proof'))
    path = tmp_path / 'model.pth'
    if plain:
        path.write_bytes(pickle.dumps(checkpoint))
    else:
        torch.save(checkpoint, path)
    for resume in (True, False):
        with pytest.raises(RuntimeError, match='which could run code'):
            run(load_from(tmp_path / f'run{resume}', path, resume))
    with pytest.raises(RuntimeError, match='which could run code'):
        Runner.from_cfg(load_from(tmp_path / 'test', path, False)).test()
    runner = Runner.from_cfg(tiny.config(tmp_path / 'init'))
    runner.model.init_cfg = dict(type='Pretrained', checkpoint=str(path))
    with pytest.raises(ValueError, match='which could run code'):
        runner.train()
    for options in (
        dict(arch=str(path)),
        dict(init_cfg=dict(type='Pretrained', checkpoint=str(path))),
    ):
        with pytest.raises(ValueError, match='which could run code'):
            tiny.supernet(**options)
    assert not (tmp_path / 'proof').exists()


# Other settings


def broken_off(work_dir: Path, **hook: Any) -> None:
    """Stops after the checkpoint of iteration 8, with a shrink or two."""

    def stop(runner: Runner) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spoiled(tiny.config(work_dir, **hook), 10, stop).train()


TARGET = dict(rho=None, target=0.6, begin=1, end=11, threshold=0.01)


def test_resume_with_a_lower_target(tmp_path: Path) -> None:
    broken_off(tmp_path, **TARGET)
    cfg = resumed(tmp_path, **{**TARGET, 'target': 0.4, 'threshold': 0.02})
    cfg.log_level = 'INFO'
    runner = run(cfg)
    history = tiny.history_of(runner)
    assert 0.38 * 403_200 <= history[-1]['macs'] <= 0.4 * 403_200
    for line in (
        'target is 0.4 from iteration 8 on, it was 0.6',
        'threshold is 0.02 from iteration 8 on, it was 0.01',
    ):
        assert line in log_of(tmp_path)


def test_resume_with_a_target_in_another_cost(tmp_path: Path) -> None:
    """What the history did not count is counted from its elements."""
    broken_off(tmp_path, **TARGET)
    runner = run(resumed(tmp_path, **{**TARGET, 'target': dict(params=0.7)}))
    search = tiny.search_of(runner)
    assert [cost.name for cost in search.costs] == ['params', 'macs']
    spent = search.budget.spent(architecture_of(bare_model(runner)))
    assert spent <= search.budget.amount
    assert tiny.history_of(runner)[0]['params'] == 23_540


def test_a_test_of_a_config_that_says_resume(
    tmp_path: Path, search: Path
) -> None:
    """As mmengine writes it into the work_dir of a resumed run."""
    cfg = load_from(tmp_path, search / 'iter_8.pth', resume=True)
    assert 0 < Runner.from_cfg(cfg).test()['accuracy'] <= 1


def test_resume_from_a_fixed_rho_to_a_target(tmp_path: Path) -> None:
    broken_off(tmp_path, rho=1e-3, threshold=0.5)
    runner = run(resumed(tmp_path, **TARGET))
    history = tiny.history_of(runner)
    assert 0.58 * 403_200 <= history[-1]['macs'] <= 0.6 * 403_200


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(target=0.99), 'the network has only .* and cannot grow back'),
        (dict(end=5), r'the search ended at iteration 5 and .* later end'),
    ],
)
def test_resume_with_what_makes_no_sense(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    broken_off(tmp_path, **TARGET)
    with pytest.raises(ValueError, match=message):
        run(resumed(tmp_path, **{**TARGET, **change}))


def test_resume_of_a_longer_run_that_is_far_below_its_target(
    tmp_path: Path,
) -> None:
    """A single element cost more than the target allows to be missed by."""
    cfg = tiny.config(
        tmp_path,
        rho=None,
        target=dict(params=0.4),
        begin=1,
        threshold=0.01,
    )
    # The parameters are those of Transformers, of one token each.
    cfg.model.backbone.update(num_tokens=1, transformer=dict(head_dims=256))
    first = run(cfg)
    search = tiny.search_of(first)
    found = architecture_of(bare_model(first))
    share = search.budget.spent(found) / search.budget.amount
    assert share < 0.97
    cfg.resume = True
    cfg.experiment_name += '-resumed'
    cfg.train_cfg.max_iters = 18
    assert architecture_of(bare_model(run(cfg))) == found


def test_resume_of_a_run_that_had_no_search(tmp_path: Path) -> None:
    """The descent starts where the search does, and not with a fall."""
    cfg = tiny.config(tmp_path)
    cfg.custom_hooks = [dict(type='ExactResumeHook')]
    cfg.train_cfg.max_iters = 6
    run(cfg)
    cfg = resumed(tmp_path, **{**TARGET, 'interval': 1, 'target': 0.3})
    history = tiny.history_of(run(cfg))
    falls = [
        after['macs'] / before['macs'] for before, after in pairwise(history)
    ]
    assert min(falls[:-1]) > 0.7  # the last shrink makes up for two
    assert 0.29 * 403_200 <= history[-1]['macs'] <= 0.3 * 403_200


def test_resume_with_a_shorter_run(tmp_path: Path) -> None:
    """Nothing of the hook was changed, but its end is over by now."""
    hook: dict[str, Any] = dict(rho=None, target=0.6, begin=1, threshold=0.01)
    broken_off(tmp_path, **hook)
    cfg = resumed(tmp_path, **hook)
    cfg.train_cfg.max_iters = 9
    with pytest.raises(ValueError, match='the search ended at iteration 6'):
        run(cfg)


def test_search_from_a_smaller_network(tmp_path: Path, search: Path) -> None:
    """The plan starts from what was loaded."""
    cfg = load_from(tmp_path, search / 'searched/model.pth', resume=False)
    cfg.custom_hooks[0].update(TARGET, target=0.3)
    runner = run(cfg)
    history = tiny.history_of(runner)
    controller = tiny.search_of(runner).controller
    assert isinstance(controller, BudgetController)
    assert controller.descent.start == history[0]['macs'] < 403_200
    assert 0.29 * 403_200 <= history[-1]['macs'] <= 0.3 * 403_200
    cfg = load_from(tmp_path / 'b', search / 'searched/model.pth', False)
    cfg.custom_hooks[0].update(TARGET, target=0.999)
    with pytest.raises(ValueError, match='cannot grow back'):
        run(cfg)
