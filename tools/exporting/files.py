"""Exported files on command lines, in the place of checkpoints."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from hrnas_mm.runtimes import RUNTIMES, Runtime


def is_exported(path: str) -> bool:
    """Return whether a file is not a checkpoint, by its name."""
    return path.endswith('.onnx')


def add_backend(parser: ArgumentParser) -> None:
    """Add the option for what runs exported files."""
    parser.add_argument(
        '--backend',
        choices=[name for name, each in RUNTIMES.items() if each.onnx],
        help='what runs an ONNX file; default: onnxruntime',
    )


def check_backend(
    parser: ArgumentParser, args: Namespace, paths: Sequence[str]
) -> None:
    """Exit with a clear error if there is a backend, and no file for it."""
    if args.backend and not any(map(is_exported, paths)):
        parser.error(f'--backend runs ONNX files, got {", ".join(paths)}')


def runtime_of(args: Namespace) -> Runtime:
    """Return what runs exported files."""
    return RUNTIMES[args.backend or 'onnxruntime']
