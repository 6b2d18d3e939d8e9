"""Trainings of several runs, some of them at the same time."""

import os
import os.path as osp
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

from hrnas_mm.cli.with_parent import ENDS_WITH_INPUT
from hrnas_mm.files import write_json

from .runs import RESULT, Run, has_begun, is_finished, last_value, noted


class Trainings:
    """Trainings by tools/train.py, several at a time.

    A run that has noted its metric is not repeated, and one that was broken
    off is resumed.

    Args:
        script: Path of tools/train.py.
        metric: Metric of the last evaluation, which is noted.
        options: Further options of the configs, as KEY=VALUE.

    Raises:
        ValueError: If the options would give all runs one seed.
    """

    def __init__(
        self, script: str, metric: str, options: Sequence[str]
    ) -> None:
        self.script = script
        self.metric = metric
        self.options = list(options)
        for option in self.options:
            if option.split('=')[0] in ('randomness', 'randomness.seed'):
                raise ValueError(
                    '--cfg-options must leave the seed to --seeds, got '
                    f'{option!r}'
                )
        self._running: set[subprocess.Popen[str]] = set()
        self._over = False

    def run(self, runs: Sequence[Run], jobs: int = 1) -> None:
        """Train what is not finished.

        After a failure no training is started; those that run go on.

        Args:
            runs: What is trained.
            jobs: Number of runs at the same time.

        Raises:
            RuntimeError: If a training fails, or does not evaluate the
                metric.
            ValueError: If one was trained with other options, or with
                another config of the same name.
        """
        for run in runs:
            self._check(run)
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(self._train, runs))

    def end(self, signum: int, frame: FrameType | None = None) -> None:
        """Handle a signal: end the trainings that run, then this process."""
        self._over = True
        for process in list(self._running):
            process.terminate()
        raise SystemExit(128 + signum)

    def _check(self, run: Run) -> None:
        if not has_begun(run):
            return
        settings = noted(run)
        before = settings.get('options', self.options)
        if before != self.options:
            raise ValueError(
                f'{run.folder} was trained with --cfg-options {before}, got '
                f'{self.options}: give another --work-dir'
            )
        if settings.get('config', run.digest) != run.digest:
            raise ValueError(
                f'{run.folder} was trained with another config, or '
                f'{run.config} was edited since: give another --work-dir'
            )

    def _train(self, run: Run) -> None:
        if self._over or is_finished(run):
            return
        try:
            os.makedirs(run.folder, exist_ok=True)
            result = osp.join(run.folder, RESULT)
            settings = dict(options=self.options, config=run.digest)
            write_json(result, settings)
            self._start(run)
            value = last_value(run.folder, self.metric)
            write_json(result, {self.metric: value, **settings})
        except Exception:
            self._over = True
            raise

    def _start(self, run: Run) -> None:
        command = [sys.executable, self.script, run.config]
        command += ['--work-dir', run.folder, '--resume', '--cfg-options']
        command += [f'randomness.seed={run.seed}', *self.options]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # it closes when this process is killed
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, ENDS_WITH_INPUT: '1'},
        ) as process:
            self._running.add(process)
            assert process.stderr is not None
            errors = process.stderr.read()  # communicate() closes the input
            process.wait()
            self._running.remove(process)
        if process.returncode:
            last = ''.join(errors.strip().splitlines()[-1:])
            raise RuntimeError(
                f'the training in {run.folder} failed, see its log: {last}'
            )
