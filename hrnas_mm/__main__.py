"""The tools, run from any folder: ``python -m hrnas_mm TOOL``."""

import ast
import runpy
import sys
from pathlib import Path

from .spelling import like

PACKAGE = Path(__file__).parent
NAME = 'python -m hrnas_mm'
# As they are used one after the other, from the data to the comparison.
ORDER = (
    'make_demo_data', 'new_search', 'get_flops', 'measure_latency', 'train',
    'visualize', 'test', 'export_architecture', 'export_onnx', 'predict',
    'benchmark', 'uniform_baseline', 'random_architecture', 'compare',
    'convert_official', 'env',
)  # fmt: skip


def tools() -> dict[str, Path]:
    """Return the tools' files by name, in the order of their use.

    A wheel has them in the package.
    """
    folders = (PACKAGE / '.mim' / 'tools', PACKAGE.parent / 'tools')
    folder = next(filter(Path.is_dir, folders))
    found = {path.stem: path for path in folder.glob('*.py')}
    return {name: found[name] for name in ORDER if name in found}


def usage() -> str:
    """Return the usage: for each tool the first line of its docstring."""
    lines = [
        f'  {name:20}{summary.splitlines()[0]}'
        for name, path in tools().items()
        if (summary := ast.get_docstring(ast.parse(path.read_text())))
    ]
    return '\n'.join(
        [f'usage: {NAME} TOOL ...; {NAME} TOOL --help', '', *lines]
    )


def main() -> None:
    """Run the tool that the command line names, with its arguments."""
    name = sys.argv[1] if len(sys.argv) > 1 else '--help'
    if name in ('-h', '--help'):
        print(usage())
        return
    found = tools()
    if name not in found:
        print(f'error: there is no tool {name!r}{like(name, found)}')
        raise SystemExit(2)
    path = found[name]
    sys.argv = [str(path), *sys.argv[2:]]
    sys.path[0] = str(path.parent)  # as for a script that is run by its path
    try:
        runpy.run_path(str(path), run_name='__main__')
    except ImportError as error:
        text = ' '.join(str(error).split())
        print(f'error: {name}: {text}', file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == '__main__':
    main()
