"""Timing ONNX files by a program of the user, here or on another device."""

import csv
import math
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from torch import Tensor

from ..files import read_json, write_json
from .timers import Make

COMMAND = 'command'
TIMES = 'times.csv'
FACTS = 'made_for.json'
# The last number that a program prints, unless the user knows better: with its
# sign and all its commas, so that what is no plain number is an error.
NUMBER = r'(?:(?<!\w)[-+])?\.?\d(?:[\d.,]*\d)?(?:[eE][-+]?\d+)?'
PATTERN = rf'({NUMBER}|\bnan\b|\binf\b)(?:(?!\bnan\b|\binf\b)\D)*$'


class CommandTimer:
    """Time ONNX files by a program, or take times that were brought here.

    It is a :class:`~hrnas_mm.runtimes.timers.Timer`.

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
        self.words = _words(command or '')

    def keep_to_(self, facts: Mapping[str, Any]) -> None:
        """Refuse a folder with the files of another table.

        Args:
            facts: Facts about the table, in plain types; kept in the folder.

        Raises:
            ValueError: If it has files of another table.
        """
        facts = dict(
            facts,
            device=self.device,
            command=self.command,
            pattern=self.pattern.pattern,
            dtype=self.dtype,
        )
        path = self.folder / FACTS
        if path.exists():
            before = read_json(str(path))
            odd = sorted(k for k in facts if facts[k] != before.get(k))
            if odd:
                raise ValueError(
                    f'--files {self.folder} has the files of another table, '
                    f'with another {", ".join(odd)}: give a new folder'
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(str(path), facts)

    def ready(self, name: str, make: Make, image: Tensor) -> Any:
        """Write the file of a network, and return its name."""
        file = re.sub(r'\W+', '-', name) + '.onnx'
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / file).write_bytes(make())
        return file

    def times(
        self, ready: Mapping[str, Any], limit: float, warm: bool = True
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
        # Spreadsheets begin a file with a mark, and put spaces after commas.
        with path.open(newline='', encoding='utf-8-sig') as file:
            for row in _rows_in(file):
                if '.onnx' not in ','.join(row):
                    continue  # a heading
                try:
                    name, text = row
                    rows[os.path.basename(name.strip())] = ms = float(text)
                    if not 0 < ms < math.inf:
                        raise ValueError
                except ValueError:
                    raise ValueError(
                        f'{path} must have rows "file,milliseconds" with '
                        f'positive numbers, got {",".join(row)!r}'
                    ) from None
        return rows

    def _run(self, file: str) -> float:
        path = str(self.folder / file)
        try:
            result = subprocess.run(
                [word.replace('{onnx}', path) for word in self.words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors='replace',
            )
        except OSError as error:
            raise RuntimeError(f'--command cannot be run: {error}') from error
        said = result.stdout.splitlines() + result.stderr.splitlines()
        last = ''.join([line for line in said if line.strip()][-1:])
        if result.returncode:
            raise RuntimeError(
                f'--command failed with exit code {result.returncode} on '
                f'{path}: {last}'
            )
        # Warnings go elsewhere than results, but some write only there.
        search = self.pattern.search
        found = search(result.stdout) or search(result.stderr)
        if found is None:
            raise RuntimeError(
                f'--command printed nothing that matches --pattern '
                f'{self.pattern.pattern!r} on {path}; its last line is '
                f'{last!r}'
            )
        try:
            ms = float(found[1])
        except (TypeError, ValueError):
            ms = math.nan
        if not 0 < ms < math.inf:
            raise RuntimeError(
                f'--command must print positive milliseconds where --pattern '
                f'{self.pattern.pattern!r} looks for them, got {found[1]!r} '
                f'on {path}'
            )
        self._note(file, ms)
        return ms

    def _note(self, file: str, ms: float) -> None:
        path = self.folder / TIMES
        before = path.read_bytes() if path.exists() else b''
        with path.open('a', newline='') as rows:
            if before and not before.endswith(b'\n'):  # edited by hand
                rows.write('\n')
            csv.writer(rows).writerow([file, ms])


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise ValueError(
            f'--command must be a command line, got {command!r}: {error}'
        ) from None


def _rows_in(file: TextIO) -> Iterator[list[str]]:
    try:
        yield from csv.reader(file)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f'{file.name} must be a CSV file in UTF-8: {error}'
        ) from error


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
