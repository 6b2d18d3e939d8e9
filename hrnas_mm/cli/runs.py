"""Trainings of several configs with several seeds, each in its folder."""

import json
import os.path as osp
import subprocess
import sys
from collections.abc import Sequence
from glob import escape, glob
from itertools import product
from types import FrameType
from typing import Any, NamedTuple

from ..engine.searched_config import search_hooks
from ..files import read_json, write_json
from .candidate import Candidate, candidate
from .config import prepare_config

RESULT = 'result.json'

# What train() has started, in any thread, and what has not ended yet.
_running: set[subprocess.Popen[str]] = set()


class Run(NamedTuple):
    """A config with a seed, and the folder of its run."""

    config: str
    seed: int
    folder: str


def runs_of(
    configs: Sequence[str], seeds: Sequence[int], work_dir: str
) -> list[Run]:
    """Return the runs of configs with each of several seeds.

    Raises:
        ValueError: If two configs have the same name, and thus one folder, or
            a seed is there twice. A config that cannot be read raises what
            :func:`~hrnas_mm.cli.config.prepare_config` raises.
    """
    if len(set(seeds)) < len(seeds):
        raise ValueError(f'--seeds must differ, got {list(seeds)}')
    names = [osp.splitext(osp.basename(path))[0] for path in configs]
    if len(set(names)) < len(names):
        raise ValueError(f'the configs must have different names, got {names}')
    for path in configs:
        prepare_config(path)
    return [
        Run(path, seed, osp.join(work_dir, name, f'seed-{seed}'))
        for (path, name), seed in product(zip(configs, names), seeds)
    ]


def train(run: Run, script: str, metric: str, options: Sequence[str]) -> None:
    """Train, from the last checkpoint if there is one, and note the metric.

    A run that has noted one before is not repeated.

    Args:
        run: What is trained.
        script: Path of tools/train.py.
        metric: Metric of the last evaluation.
        options: Further options of the config, as KEY=VALUE.

    Raises:
        RuntimeError: If the training fails, or does not evaluate the metric.
        ValueError: If it has noted one with other options.
    """
    result = osp.join(run.folder, RESULT)
    if osp.isfile(result):
        before = read_json(result).get('options', [])
        if before != list(options):
            raise ValueError(
                f'{run.folder} was trained with --cfg-options {before}, got '
                f'{list(options)}: give another --work-dir'
            )
        return
    command = [sys.executable, script, run.config, '--work-dir', run.folder]
    command += ['--resume', '--cfg-options', f'randomness.seed={run.seed}']
    with subprocess.Popen(
        [*command, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        _running.add(process)
        _, errors = process.communicate()
        _running.remove(process)
    if process.returncode:
        last = ''.join(errors.strip().splitlines()[-1:])
        raise RuntimeError(
            f'the training in {run.folder} failed, see its log: {last}'
        )
    value = last_value(run.folder, metric)
    write_json(result, {metric: value, 'options': list(options)})


def end_with_trainings(signum: int, frame: FrameType | None) -> None:
    """End the trainings that run, then this process: a signal's handler."""
    for process in list(_running):
        process.terminate()
    raise SystemExit(128 + signum)


def metric_of(run: Run, metric: str) -> float:
    """Return a metric of a finished run: that which it noted, or another."""
    noted: dict[str, float] = read_json(osp.join(run.folder, RESULT))
    if metric in noted:
        return noted[metric]
    return last_value(run.folder, metric)


def last_value(folder: str, metric: str) -> float:
    """Return the last value of a metric that a run has logged.

    Raises:
        RuntimeError: If there is none.
    """
    found: list[float] = []
    known: set[str] = set()
    logs = glob(osp.join(escape(folder), '*', 'vis_data', '*.json'))
    for path in sorted(logs):  # their folders are named after the time
        with open(path) as file:
            for line in file:
                values = _values_in(line)
                if 'lr' not in values:  # of an evaluation
                    known |= set(values) - {'step'}
                if metric in values:
                    found.append(values[metric])
    if not found:
        raise RuntimeError(
            f'--metric must be one that {folder} has evaluated, '
            f'{", ".join(sorted(known)) or "and there is none"}; got '
            f'{metric!r}'
        )
    return found[-1]


def _values_in(line: str) -> dict[str, Any]:
    """Return what a line of a log has; a killed run leaves half a line."""
    try:
        values = json.loads(line)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def network_of(run: Run, shape: Sequence[int] | None) -> Candidate:
    """Return the network that a run has ended with; weights do not matter.

    Raises:
        FileNotFoundError: If a search has left no network.
    """
    trained = osp.join(run.folder, osp.basename(run.config))
    if not any(search_hooks(prepare_config(trained))):
        return candidate(trained, shape)
    searched = osp.join(run.folder, 'searched')
    model = osp.join(searched, 'model.pth')
    if not osp.isfile(model):
        raise FileNotFoundError(f'{model} does not exist: did the search end?')
    return candidate(f'{osp.join(searched, "config.py")}:{model}', shape)
