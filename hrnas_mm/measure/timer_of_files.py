"""Timing ONNX files by a program of the user, here or on another device."""

import csv
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from .timers import Make

COMMAND = 'command'
TIMES = 'times.csv'
# The last number that a program prints, unless the user knows better.
PATTERN = r'([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)[^0-9]*$'


class TimerOfFiles:
    """Time ONNX files by a program, or take times that were brought here.

    It is a :class:`~hrnas_mm.measure.timers.Timer`.

    The files lie in a folder, and times are read from ``times.csv`` in it:
    the name of a file and milliseconds in each row. The program is run once
    for each file that has no row yet, and its time is added at once: if it is
    stopped, it goes on from there.

    Args:
        folder: Folder for the files.
        device: Name of the device that the times are of.
        command: Command that runs ``{onnx}`` and prints milliseconds; without
            one, all rows must be there.
        pattern: Regular expression whose first group is the milliseconds in
            what the command prints.
        dtype: What the command computes in; the files are in float32.

    Raises:
        ValueError: If the pattern or the command is wrong.
    """

    backend = COMMAND
    onnx = True
    form = 'onnxruntime'
    slow = True

    def __init__(
        self,
        folder: str,
        device: str,
        command: str | None,
        pattern: str = PATTERN,
        dtype: str = 'float32',
    ) -> None:
        self.folder = Path(folder)
        self.device = device
        self.dtype = dtype
        self.command = command
        self.version = command or TIMES
        self.pattern = _compiled(pattern)
        if command is not None and '{onnx}' not in command:
            raise ValueError(
                '--command must contain {onnx}, in whose place the file is '
                f'put, got {command!r}'
            )

    def ready(self, name: str, make: Make, image: Tensor) -> Any:
        """Write the file of a network, and return its name."""
        file = re.sub(r'\W+', '-', name) + '.onnx'
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / file).write_bytes(make())
        return file

    def times(
        self, ready: Mapping[str, Any], limit: float, alone: bool = True
    ) -> dict[str, float]:
        """Return the milliseconds of files; the limit is the program's.

        Raises:
            ValueError: If times are missing, or no positive numbers.
            RuntimeError: If the command fails, or prints no milliseconds.
        """
        known = self._rows()
        for file in ready.values():
            if file not in known and self.command is not None:
                known[file] = self._run(file)
        missing = [file for file in ready.values() if file not in known]
        if missing:
            raise ValueError(
                f'{self.folder / TIMES} must have a row "file,milliseconds" '
                f'for each file in {self.folder}; {len(missing)} of '
                f'{len(ready)} are missing, such as {missing[0]}'
            )
        return {name: known[file] for name, file in ready.items()}

    def _rows(self) -> dict[str, float]:
        path = self.folder / TIMES
        if not path.exists():
            return {}
        rows = {}
        with path.open(newline='') as file:
            for row in csv.reader(file):
                if not row or not row[0].endswith('.onnx'):
                    continue  # a heading
                try:
                    name, text = row
                    rows[os.path.basename(name)] = ms = float(text)
                    if not 0 < ms < float('inf'):
                        raise ValueError
                except ValueError:
                    raise ValueError(
                        f'{path} must have rows "file,milliseconds" with '
                        f'positive numbers, got {",".join(row)!r}'
                    ) from None
        return rows

    def _run(self, file: str) -> float:
        assert self.command is not None
        path = str(self.folder / file)
        words = [
            word.replace('{onnx}', path) for word in shlex.split(self.command)
        ]
        result = subprocess.run(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        last = ''.join(result.stdout.strip().splitlines()[-1:])
        if result.returncode:
            raise RuntimeError(
                f'--command failed with exit code {result.returncode} on '
                f'{path}: {last}'
            )
        found = self.pattern.search(result.stdout)
        if found is None:
            raise RuntimeError(
                f'--command printed nothing that matches --pattern '
                f'{self.pattern.pattern!r} on {path}; its last line is '
                f'{last!r}'
            )
        ms = float(found[1])
        with (self.folder / TIMES).open('a', newline='') as rows:
            csv.writer(rows).writerow([file, ms])
        return ms


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f'--pattern must be a regular expression, got {pattern!r}: {error}'
        ) from None
    if found.groups < 1:
        raise ValueError(
            '--pattern must have a group in parentheses, the milliseconds, '
            f'got {pattern!r}'
        )
    return found
