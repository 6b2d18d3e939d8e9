"""Facts for the report of a run: where, when and how it was made."""

import os
import os.path as osp
import platform
import re
import shlex
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.runner import Runner

from ..report.record import RunInfo
from ..version import __version__
from .penalising import HISTORY

MAX_POINTS = 100  # per curve


def run_info(runner: Runner) -> RunInfo:
    """Return the known facts about a run."""
    on_gpu = torch.cuda.is_available()
    return RunInfo(
        date=time.strftime('%Y-%m-%d %H:%M'),
        seconds=sum(_history(runner, 'train/time')),
        device=(
            torch.cuda.get_device_name()
            if on_gpu
            else f'{platform.machine()} CPU'
        ),
        processes=get_world_size(),
        threads=torch.get_num_threads(),
        versions=dict(
            hrnas_mm=__version__,
            torch=torch.__version__,
            Python=platform.python_version(),
        ),
        seed=runner.seed,
        commit=_commit(),
        command=_command(),
    )


@cache
def _commit() -> str:
    """Return the commit of the folder that the run was started in, or ''."""
    describe = ['git', 'describe', '--always', '--dirty', '--abbrev=12']
    try:
        return subprocess.run(
            describe, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ''


def _command() -> str:
    """Return the command as typed, with paths relative to the folder."""
    python, *words = _typed()
    folder = osp.dirname(sys.executable)
    if words and osp.dirname(words[0]) == folder:  # a script of a package
        python, *words = words
    if words and osp.isabs(words[0]):
        words[0] = osp.relpath(words[0])
    here = re.escape(os.getcwd() + os.sep)
    words = [re.sub(f'(^|=){here}', r'\1', word) for word in words]
    return shlex.join([osp.basename(python), *words])


def _typed() -> list[str]:
    """Return the command line of the process; of torchrun, if that began it.

    ``sys.argv`` is not it: ``python -m`` has put a path there.
    """
    typed = Path(f'/proc/{os.getppid()}/cmdline')
    if 'TORCHELASTIC_RUN_ID' in os.environ and typed.exists():
        return os.fsdecode(typed.read_bytes()).split('\0')[:-1]
    return sys.orig_argv


def training_curves(runner: Runner) -> dict[str, list[float]]:
    """Return iterations, seconds, loss and penalty, averaged in groups.

    They come from the message hub, whose history a resumed run continues.
    The loss is without the penalty.
    """
    names = dict(seconds='train/time', loss='train/loss', penalty=HISTORY)
    curves = {key: _history(runner, name) for key, name in names.items()}
    length = min(map(len, curves.values()))
    if not length:
        return {}
    curves = {key: values[-length:] for key, values in curves.items()}
    curves['loss'] = [
        total - penalty
        for total, penalty in zip(curves['loss'], curves['penalty'])
    ]
    group = -(-length // MAX_POINTS)
    starts = range(0, length, group)
    first = runner.iter - length  # where the hub's history begins
    return {
        'iter': [first + min(i + group, length) for i in starts],
        **{
            name: [_mean(values[i : min(i + group, length)]) for i in starts]
            for name, values in curves.items()
        },
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _history(runner: Runner, name: str) -> list[float]:
    buffer: Any = runner.message_hub.log_scalars.get(name)
    return [] if buffer is None else buffer.data[0].tolist()
