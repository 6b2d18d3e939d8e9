"""Facts for the report of a run: where, when and how it was made."""

import os
import os.path as osp
import platform
import shlex
import subprocess
import sys
import time
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.runner import Runner

from ..report.record import RunInfo
from ..version import __version__

MAX_POINTS = 100  # per curve


def run_info(runner: Runner) -> RunInfo:
    """Return the known facts about a run that has ended."""
    on_gpu = torch.cuda.is_available()
    return RunInfo(
        date=time.strftime('%Y-%m-%d %H:%M'),
        seconds=sum(_history(runner, 'time')),
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
    """Return the command line with paths as short as possible."""
    here = os.getcwd() + os.sep
    words = [word.removeprefix(here) for word in sys.argv]
    words[0] = osp.relpath(sys.argv[0]) if osp.exists(sys.argv[0]) else ''
    return shlex.join(['python', *filter(None, words)])


def training_curves(runner: Runner) -> dict[str, list[float]]:
    """Return iterations, seconds per iteration and loss, averaged in groups.

    They come from the message hub, whose history a resumed run continues.
    """
    curves = dict(
        seconds=_history(runner, 'time'), loss=_history(runner, 'loss')
    )
    length = min(map(len, curves.values()))
    if not length:
        return {}
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
    buffer: Any = runner.message_hub.log_scalars.get(f'train/{name}')
    return [] if buffer is None else buffer.data[0].tolist()
