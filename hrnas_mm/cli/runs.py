"""Trainings of several configs with several seeds, each in its folder."""

import json
import os
import os.path as osp
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from glob import escape, glob
from itertools import product
from types import FrameType
from typing import Any, NamedTuple

from ..engine.searched_config import search_hooks
from ..files import read_json, write_json
from .candidate import Candidate, candidate
from .config import prepare_config

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


class Trainings:
    """Trainings by tools/train.py, several at a time.

    A run that has noted its metric is not repeated, and one that was broken
    off is resumed.

    Args:
        script: Path of tools/train.py.
        metric: Metric of the last evaluation, which is noted.
        options: Further options of the configs, as KEY=VALUE.
    """

    def __init__(
        self, script: str, metric: str, options: Sequence[str]
    ) -> None:
        self.script = script
        self.metric = metric
        self.options = list(options)
        self._running: set[subprocess.Popen[str]] = set()
        self._over = False

    def run(self, runs: Sequence[Run], jobs: int = 1) -> None:
        """Train what is not finished.

        After one that fails none is started; those that run are not ended.

        Args:
            runs: What is trained.
            jobs: Number of runs at the same time.

        Raises:
            RuntimeError: If a training fails, or does not evaluate the
                metric.
            ValueError: If one was trained with other options.
        """
        for run in runs:
            self._check(run)
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(self._train, runs))

    def end(self, signum: int, frame: FrameType | None = None) -> None:
        """End the trainings that run, then this process: for a signal."""
        self._over = True
        for process in list(self._running):
            process.terminate()
        raise SystemExit(128 + signum)

    def _check(self, run: Run) -> None:
        before = _noted(run).get('options', self.options)
        if before != self.options and _has_begun(run):
            raise ValueError(
                f'{run.folder} was trained with --cfg-options {before}, got '
                f'{self.options}: give another --work-dir'
            )

    def _train(self, run: Run) -> None:
        if self._over or _is_finished(run):
            return
        try:
            os.makedirs(run.folder, exist_ok=True)
            result = osp.join(run.folder, RESULT)
            write_json(result, dict(options=self.options))
            self._start(run)
            value = last_value(run.folder, self.metric)
            write_json(result, {self.metric: value, 'options': self.options})
        except Exception:
            self._over = True
            raise

    def _start(self, run: Run) -> None:
        command = [sys.executable, self.script, run.config]
        command += ['--work-dir', run.folder, '--resume', '--cfg-options']
        command += [f'randomness.seed={run.seed}', *self.options]
        with subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            self._running.add(process)
            _, errors = process.communicate()
            self._running.remove(process)
        if process.returncode:
            last = ''.join(errors.strip().splitlines()[-1:])
            raise RuntimeError(
                f'the training in {run.folder} failed, see its log: {last}'
            )


def _noted(run: Run) -> dict[str, Any]:
    """Return what a run has noted: its options, and at the end its metric."""
    path = osp.join(run.folder, RESULT)
    noted: dict[str, Any] = read_json(path) if osp.isfile(path) else {}
    return noted


def _is_finished(run: Run) -> bool:
    return bool(set(_noted(run)) - {'options'})


def _has_begun(run: Run) -> bool:
    last = osp.join(run.folder, 'last_checkpoint')
    return _is_finished(run) or osp.isfile(last)


def metric_of(run: Run, metric: str) -> float:
    """Return a metric of a finished run: that which it noted, or another."""
    noted = _noted(run)
    if metric in noted:
        return float(noted[metric])
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
