"""Runs that are broken off, or killed, and what they leave."""

import copy
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from tiny import search_of

from hrnas_mm.building import build_runner
from hrnas_mm.engine.surgery import averaged_model
from hrnas_mm.runners import bare_model

Result = TypeVar('Result')


@HOOKS.register_module(force=True)
class Stop(Hook):
    """Breaks a run off after all that an iteration does, checkpoints too.

    Or, with ``evaluates``, in the evaluation that follows the iteration.
    """

    priority = 'LOWEST'

    def __init__(self, at: int, evaluates: bool = False) -> None:
        self.at = at
        self.evaluates = evaluates

    def after_train_iter(
        self, runner: Runner, *args: Any, **kwargs: Any
    ) -> None:
        if runner.iter + 1 == self.at and not self.evaluates:
            raise KeyboardInterrupt

    def after_val_iter(
        self, runner: Runner, *args: Any, **kwargs: Any
    ) -> None:
        if runner.iter == self.at:
            raise KeyboardInterrupt


def broken_off_and_resumed(
    cfg: Config,
    train: Callable[[Config], Result],
    at: int,
    evaluates: bool = False,
) -> Result:
    """Train until an iteration is over, then from the last checkpoint.

    Args:
        cfg: Of the run.
        train: Trains by a config; what it returns of the resumed run is
            returned.
        at: The number of iterations before the break.
        evaluates: Whether the evaluation after them has begun.
    """
    broken = copy.deepcopy(cfg)
    broken.custom_hooks.append(dict(type='Stop', at=at, evaluates=evaluates))
    with pytest.raises(KeyboardInterrupt):
        train(broken)
    cfg.resume = True
    cfg.experiment_name += '-again'
    return train(cfg)


def everything(runner: Runner) -> dict[str, Any]:
    """All tensors that training leaves: weights, averages, optimizer."""
    averaged = averaged_model(runner)
    optimizer = runner.optim_wrapper.optimizer
    return dict(
        model=bare_model(runner).state_dict(),
        averaged=averaged.state_dict() if averaged else {},
        optimizer=optimizer.state_dict()['state'],
        lr=runner.optim_wrapper.get_lr(),
    )


def told(runner: Runner) -> dict[str, Any] | None:
    """What the search says of itself."""
    if not any(hasattr(hook, 'search') for hook in runner.hooks):
        return None
    history = search_of(runner).history
    return asdict(history)


def train(
    cfg: Config,
    result: Path | None = None,
    kill_at: int | None = None,
    counts: bool = False,
) -> int:
    """Train in a forked process.

    Args:
        cfg: Of the runner.
        result: File for all that training leaves and tells, and the number
            of calls that it took.
        kill_at: SIGKILL comes with this call of a function.
        counts: Whether to count the calls, which takes as long as training.

    Returns:
        The exit code; -9 if the process was killed.
    """
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    code = 1
    try:
        calls = _count_calls(kill_at) if kill_at or counts else int
        runner = build_runner(cfg)
        runner.train()
        sys.setprofile(None)
        if result is not None:
            torch.save((everything(runner), told(runner), calls()), result)
        code = 0
    except BaseException:
        sys.setprofile(None)
        traceback.print_exc()
    finally:
        os._exit(code)


def _count_calls(kill_at: int | None) -> Callable[[], int]:
    count = 0

    def profile(frame: Any, event: str, arg: Any) -> None:
        nonlocal count
        if event in ('call', 'c_call'):
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(profile)
    return lambda: count
