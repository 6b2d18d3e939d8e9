"""Evaluate a checkpoint, or an exported file, with a config of any framework.

    python tools/test.py CONFIG CHECKPOINT
    python tools/test.py CONFIG CHECKPOINT FILE.onnx

The supported frameworks are mmseg, mmpose, mmdet, mmdet3d and mmpretrain. An
ONNX file takes the place of the model's backbone, neck and head; loading,
post-processing and evaluation stay those of the config. The figures of several
files are printed side by side.
"""

import argparse
import os
from collections.abc import Mapping
from itertools import chain
from typing import Any

from exporting.files import (
    add_backend,
    check_backend,
    is_exported,
    runtime_of,
)
from mmengine.dist import is_main_process
from mmengine.fileio import dump
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table
from testing.by_file import PredictByFile, without_weights_
from testing.options import augment_, draw_into_, write_to_

from hrnas_mm.building import build_runner
from hrnas_mm.cli.config import add_runner_arguments, prepare_config
from hrnas_mm.cli.errors import clear_errors
from hrnas_mm.runtimes import check_packages
from hrnas_mm.runtimes.file_facts import read_facts


def parse_args() -> argparse.Namespace:
    """Read the command line; the arguments are those of the frameworks."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_runner_arguments(parser)
    parser.add_argument(
        'checkpoint',
        nargs='+',
        help='checkpoint to evaluate, of a shrunk network or not, or ONNX '
        'file that export_onnx has written',
    )
    parser.add_argument(
        '--work-dir', help='folder to which logs and metrics are written'
    )
    parser.add_argument(
        '--show-dir', help='folder in which every image is drawn'
    )
    parser.add_argument(
        '--out',
        help="what the framework's own test.py writes: predicted label maps "
        'into a folder (mmseg), metrics (mmpose) or predictions to a .pkl '
        'file',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help="test-time augmentation, by the config's tta_model and "
        'tta_pipeline',
    )
    add_backend(parser)
    args = parser.parse_args()
    args.checkpoint = list(dict.fromkeys(args.checkpoint))
    if len(args.checkpoint) > 1 and (args.out or args.show_dir):
        parser.error('--out and --show-dir are for one checkpoint')
    check_backend(parser, args, args.checkpoint)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def runner_of(args: argparse.Namespace, path: str) -> Runner:
    """Build the runner that tests a checkpoint, or an ONNX file."""
    cfg = prepare_config(args.config, args.cfg_options, args.work_dir)
    cfg.launcher = args.launcher
    cfg.load_from, cfg.resume = path, False
    if args.show_dir:
        draw_into_(cfg, args.show_dir)
    if args.out:
        write_to_(cfg, args.out)
    if args.tta:
        augment_(cfg)
    if not is_exported(path):
        return build_runner(cfg, 'test_dataloader')
    without_weights_(cfg)
    runner = build_runner(cfg, 'test_dataloader')
    runner.register_hook(PredictByFile(path, runtime_of(args)))
    return runner


def check_files(args: argparse.Namespace) -> None:
    """Raise an error if a file cannot be read, before any is evaluated."""
    for path in args.checkpoint:
        if is_exported(path):
            check_packages(runtime_of(args))
            read_facts(path).check_runtime(runtime_of(args).name)


def evaluated(args: argparse.Namespace, path: str) -> dict[str, float]:
    """Return the metrics of a checkpoint, or of an ONNX file."""
    with clear_errors():
        runner = runner_of(args, path)
    with clear_errors(user_errors=()):
        metrics = runner.test()
        if args.out and runner.cfg.get('default_scope') == 'mmpose':
            dump(metrics, args.out)
    return metrics


def print_beside(metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the metrics of several files side by side."""
    table = Table('')
    names = [os.path.basename(path) for path in metrics]
    for name in names if len(set(names)) == len(names) else metrics:
        table.add_column(name, justify='right', overflow='fold')
    for name in dict.fromkeys(chain.from_iterable(metrics.values())):
        figures = [found.get(name) for found in metrics.values()]
        if any(isinstance(figure, (int, float)) for figure in figures):
            table.add_row(name, *map(shown, figures))
    Console(markup=False).print(table)


def shown(figure: Any) -> str:
    """Return a figure as text; not all files have all of them."""
    return f'{figure:.6g}' if isinstance(figure, (int, float)) else '-'


def main() -> None:
    """Test all checkpoints and files."""
    args = parse_args()
    with clear_errors():
        check_files(args)
    metrics = {path: evaluated(args, path) for path in args.checkpoint}
    if len(metrics) > 1 and is_main_process():
        print_beside(metrics)


if __name__ == '__main__':
    main()
