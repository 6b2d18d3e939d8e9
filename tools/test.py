"""Evaluate a checkpoint with a config of any supported framework.

The supported frameworks are mmseg, mmpose, mmdet, mmdet3d and mmpretrain.
"""

import argparse
import os

from mmengine.fileio import dump
from testing.options import augment_, draw_into_, write_to_

from hrnas_mm.building import build_runner
from hrnas_mm.cli.config import add_runner_arguments, prepare_config
from hrnas_mm.cli.errors import clear_errors


def parse_args() -> argparse.Namespace:
    """Read the command line; the arguments are those of the frameworks."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_runner_arguments(parser)
    parser.add_argument(
        'checkpoint', help='checkpoint to evaluate, of a shrunk network or not'
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
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    """Build the runner and test the model."""
    args = parse_args()
    with clear_errors():
        cfg = prepare_config(args.config, args.cfg_options, args.work_dir)
        cfg.launcher = args.launcher
        cfg.load_from, cfg.resume = args.checkpoint, False
        if args.show_dir:
            draw_into_(cfg, args.show_dir)
        if args.out:
            write_to_(cfg, args.out)
        if args.tta:
            augment_(cfg)
        runner = build_runner(cfg, 'test_dataloader')
    with clear_errors(user_errors=()):
        metrics = runner.test()
        if args.out and cfg.get('default_scope') == 'mmpose':
            dump(metrics, args.out)


if __name__ == '__main__':
    main()
