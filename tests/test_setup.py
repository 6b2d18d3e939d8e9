"""What the set-up says of a machine that cannot do it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / 'tools' / 'check_machine.sh'


def check(
    python: str, *stack: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), python, *stack],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_this_machine_will_do() -> None:
    result = check(sys.executable)
    assert (result.returncode, result.stderr) == (0, '')


@pytest.mark.parametrize(
    'version, stack, accepted',
    [
        ('3.9.2', 'openmmlab', False),
        ('3.10.0', 'openmmlab', True),
        ('3.12.9', 'openmmlab', True),
        ('3.13.0', 'openmmlab', False),
        ('3.13.0', 'onedl', True),
        ('3.14.0', 'onedl', False),
    ],
)
def test_python_version(
    tmp_path: Path, version: str, stack: str, accepted: bool
) -> None:
    fake = tmp_path / 'python'
    parts = tuple(map(int, version.split('.')))
    fake.write_text(
        f'#!{sys.executable}\nimport sys\n'
        f'if sys.argv[1] == "-V": print("Python {version}")\n'
        f'else:\n    sys.version_info = {parts}\n'
        '    exec(sys.argv[2].replace("import sys; ", ""))\n'
    )
    fake.chmod(0o755)
    result = check(str(fake), stack)
    assert (result.returncode == 0) is accepted
    if not accepted:
        assert f'is Python {version}' in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_no_interpreter_and_no_compiler() -> None:
    assert "No interpreter 'nopython'" in check('nopython').stderr
    assert (
        "No C++ compiler 'nocxx'" in check(sys.executable, CXX='nocxx').stderr
    )
