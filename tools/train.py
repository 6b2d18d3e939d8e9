"""Train or search with a config of any supported framework.

The supported frameworks are mmseg, mmpose, mmdet, mmdet3d and mmpretrain.
"""

import argparse
import os

from mmengine.config import Config
from training.check_config import check_config
from training.rehearsal import rehearse

from hrnas_mm.building import build_runner
from hrnas_mm.check_files import check_data
from hrnas_mm.cli.config import add_runner_arguments, prepare_config
from hrnas_mm.cli.errors import clear_errors
from hrnas_mm.cli.with_parent import end_with_parent_
from hrnas_mm.engine.results import LAST
from hrnas_mm.resume.files import telling_of_full_disk
from hrnas_mm.resume.former_run import check_work_dir


def parse_args() -> argparse.Namespace:
    """Read the command line; the arguments are those of the frameworks."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_runner_arguments(parser)
    parser.add_argument(
        '--work-dir', help='folder to which logs and models are written'
    )
    begins = parser.add_mutually_exclusive_group()
    begins.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from a checkpoint; without a path, from the latest one '
        'in the work dir',
    )
    begins.add_argument(
        '--overwrite',
        action='store_true',
        help='remove the checkpoints and results of the run that the work '
        'dir has already',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='train with automatic mixed precision',
    )
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='do not evaluate during training',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate in proportion to the total batch size',
    )
    parser.add_argument(
        '--no-rehearsal',
        action='store_true',
        help='do not try a training step and an evaluated batch beforehand',
    )
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def set_arguments_(cfg: Config, args: argparse.Namespace) -> None:
    """Apply the switches of the command line to the config."""
    cfg.launcher = args.launcher
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            raise ValueError(
                '--auto-scale-lr needs auto_scale_lr = '
                f'dict(base_batch_size=...) in {args.config}'
            )
        cfg.auto_scale_lr.enable = True
    if args.overwrite:
        cfg.overwrite = True
    if args.resume == 'auto':
        cfg.resume, cfg.load_from = True, None
    elif args.resume is not None:
        cfg.resume, cfg.load_from = True, args.resume


def main() -> None:
    """Check the config, build the runner and train."""
    end_with_parent_()
    args = parse_args()
    with clear_errors():
        cfg = prepare_config(args.config, args.cfg_options, args.work_dir)
        set_arguments_(cfg, args)
        check_work_dir(cfg, LAST)
        check_data(cfg, 'train_dataloader', 'val_dataloader')
        model = check_config(cfg)
        if not args.no_rehearsal:
            rehearse(cfg, model)
        del model
        runner = build_runner(cfg)
    with clear_errors(user_errors=()), telling_of_full_disk(runner):
        runner.train()


if __name__ == '__main__':
    main()
