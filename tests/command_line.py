"""The command lines, each in a process of its own, without its imports."""

import json
import os
import random
import runpy
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

import numpy as np
import torch

import hrnas_mm.report
from hrnas_mm.engine import results

ROOT = Path(__file__).parents[1]


def start(*args: object, cwd: Path = ROOT) -> tuple[int, Sequence[TextIO]]:
    """Run a Python script with arguments in a forked process.

    Returns:
        Its id, and the files of what it prints: standard output and error.
    """
    files = [tempfile.TemporaryFile('w+') for _ in range(2)]  # noqa: SIM115
    process = os.fork()
    if process:
        return process, files
    code = 1
    try:
        for descriptor, file in enumerate(files, 1):
            os.dup2(file.fileno(), descriptor)
        sys.stdout, sys.stderr = (
            os.fdopen(i, 'w', buffering=1) for i in (1, 2)
        )
        code = _run(cwd, *map(str, args))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(cwd: Path, script: str, *args: str) -> Any:
    os.chdir(cwd)
    sys.path.insert(0, str((Path(cwd) / script).parent))
    sys.argv = [script, *args]
    results.write_report = hrnas_mm.report.write_report
    random.seed()
    np.random.seed()
    torch.seed()
    try:
        runpy.run_path(script, run_name='__main__')
    except SystemExit as stopped:
        return stopped.code or 0
    return 0


def finish(process: int, files: Sequence[TextIO]) -> SimpleNamespace:
    """Wait for the end: its exit code and what was printed."""
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    texts = []
    for file in files:
        file.seek(0)
        texts.append(file.read())
        file.close()
    return SimpleNamespace(code=code, out=texts[0], err=texts[1])


def call(*args: object, cwd: Path = ROOT) -> SimpleNamespace:
    """Run a Python script to its end."""
    return finish(*start(*args, cwd=cwd))


def checked(*args: object, cwd: Path = ROOT) -> str:
    """Run a Python script that has to succeed; return what it prints."""
    result = call(*args, cwd=cwd)
    assert result.code == 0, result.out[-1500:] + result.err[-3000:]
    return result.out


def metrics(work_dir: Path) -> dict[str, float]:
    """The metrics of the last evaluation, as mmseg wrote them."""
    tested = work_dir.glob('*/[0-9]*.json')
    trained = work_dir.glob('*/vis_data/scalars.json')
    path = max([*tested, *trained], key=lambda p: p.stat().st_mtime)
    last = json.loads(path.read_text().splitlines()[-1])
    return {k: last[k] for k in ('aAcc', 'mIoU', 'mAcc')}
