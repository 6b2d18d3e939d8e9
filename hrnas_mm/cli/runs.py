"""Trainings of several configs with several seeds, each in its folder."""

import json
import os.path as osp
import subprocess
import sys
from collections.abc import Sequence
from glob import escape, glob
from itertools import product
from typing import NamedTuple

from ..files import read_json, write_json
from .candidate import Candidate, candidate

RESULT = 'result.json'


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
        ValueError: If two configs have the same name, and thus one folder.
    """
    names = [osp.splitext(osp.basename(path))[0] for path in configs]
    if len(set(names)) < len(names):
        raise ValueError(f'the configs must have different names, got {names}')
    return [
        Run(path, seed, osp.join(work_dir, name, f'seed-{seed}'))
        for (path, name), seed in product(zip(configs, names), seeds)
    ]


def train(run: Run, script: str, metric: str, options: Sequence[str]) -> None:
    """Train, from the last checkpoint if there is one, and note the metric.

    A run that has noted it before is not repeated.

    Args:
        run: What is trained.
        script: Path of tools/train.py.
        metric: Metric of the last evaluation.
        options: Further options of the config, as KEY=VALUE.

    Raises:
        RuntimeError: If the training fails, or does not evaluate the metric.
    """
    result = osp.join(run.folder, RESULT)
    if osp.isfile(result):
        return
    command = [sys.executable, script, run.config, '--work-dir', run.folder]
    command += ['--resume', '--cfg-options', f'randomness.seed={run.seed}']
    code = subprocess.run(
        [*command, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if code.returncode:
        last = ''.join(code.stderr.strip().splitlines()[-1:])
        raise RuntimeError(
            f'the training in {run.folder} failed, see its log: {last}'
        )
    value = last_value(run.folder, metric)
    write_json(result, {metric: value})


def metric_of(run: Run, metric: str) -> float:
    """Return the metric that a run has noted."""
    value: float = read_json(osp.join(run.folder, RESULT))[metric]
    return value


def last_value(folder: str, metric: str) -> float:
    """Return the last value of a metric that a run has logged.

    Raises:
        RuntimeError: If there is none.
    """
    found, known = [], set()
    for path in glob(osp.join(escape(folder), '*', 'vis_data', '*.json')):
        with open(path) as file:
            for line in file:
                values = json.loads(line) if line.startswith('{') else {}
                if 'lr' not in values:  # of an evaluation
                    known |= set(values) - {'step'}
                if metric in values:
                    found.append((values['step'], values[metric]))
    if not found:
        raise RuntimeError(
            f'--metric must be one that {folder} has evaluated, '
            f'{", ".join(sorted(known)) or "and there is none"}; got '
            f'{metric!r}'
        )
    return max(found)[1]


def network_of(run: Run, shape: Sequence[int] | None) -> Candidate:
    """Return the network that a run has ended with; weights do not matter."""
    searched = osp.join(run.folder, 'searched', 'config.py')
    if osp.isfile(searched):
        model = osp.join(run.folder, 'searched', 'model.pth')
        return candidate(f'{searched}:{model}', shape)
    return candidate(run.config, shape)
