"""Write a config for data of your own, after a look at them.

    python tools/new_search.py DATA my_search.py
    python tools/train.py my_search.py

DATA is a folder with label maps beside images (img_dir/{train,val} and
ann_dir/{train,val}, say), with keypoints or boxes in the format of COCO or
boxes in that of YOLO, with a folder per class (train/<class>, val/<class>), or
with lidar frames in KITTI's layout, after mmdet3d's create_data.py. All label
maps and the heads of all images are looked at, and a few samples are loaded.
What was found and what was assumed is printed, and stands at the top of the
config. The search is in a supernet, from scratch, or with --network in a stock
backbone, whose weights it begins with:

    python tools/new_search.py DATA my_search.py --network CONFIG
"""

import argparse
import os
from functools import partial

from starter import LAYOUTS, config_for, detect, network_of, try_out, write

from hrnas_mm.cli.config import count_of
from hrnas_mm.cli.errors import add_force, check_new, clear_errors
from hrnas_mm.search.budget import in_milliseconds
from hrnas_mm.search.cost import MACS


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('data', help='the folder of the data')
    parser.add_argument('out', help='the config to write')
    parser.add_argument(
        '--task',
        choices=list(LAYOUTS),
        help='default: what the data looks like',
    )
    parser.add_argument(
        '--network',
        metavar='CONFIG',
        help='begin with the backbone of a config: a file, or a config of a '
        "framework, such as 'mmseg::hrnet/fcn_hr18_...py'; default: a "
        'supernet, from scratch',
    )
    parser.add_argument(
        '--weights',
        metavar='FILE',
        help='weights of --network; default: what its config names',
    )
    parser.add_argument(
        '--target',
        type=target,
        help='what the network may cost: a ratio of the multiply-adds of the '
        "whole one, or '0.2G'; default: 0.25, with --network 0.5",
    )
    parser.add_argument(
        '--size', type=count_of, nargs=2, metavar=('H', 'W'), help='input size'
    )
    parser.add_argument('--batch-size', type=count_of, help='images per step')
    parser.add_argument(
        '--iterations', type=count_of, help='length of the run'
    )
    add_force(parser)
    args = parser.parse_args()
    if args.weights is not None and args.network is None:
        parser.error('--weights needs --network, whose weights they are')
    if args.target is None:
        args.target = 0.5 if args.network else 0.25
    return args


def target(text: str) -> float | str:
    """Read a ratio, or an amount with a suffix, which stays text."""
    if in_milliseconds(text):
        raise argparse.ArgumentTypeError(
            'must be in multiply-adds, as milliseconds need a table of them: '
            f"write target={text!r} and latency into the config's "
            'ProgressiveShrinkHook'
        )
    try:
        MACS.parse(text, supernet=1.0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    try:
        return float(text)
    except ValueError:
        return text


def main() -> None:
    """Look at the data, write the config, and print the next commands."""
    args = parse_args()
    with clear_errors():
        check_new(args.out, args.force)
        summary = detect(args.data, args.task)
        network = args.network and network_of(
            args.network, summary.task, args.weights
        )
        draft_at = partial(
            config_for,
            summary,
            args.data,
            target=args.target,
            network=network,
            size=args.size,
            batch_size=args.batch_size,
            iterations=args.iterations,
        )
        tried = try_out(draft_at)
        draft = draft_at(args.out)
        for path in filter(os.path.exists, draft.copies):
            check_new(path, args.force)
        write(draft, args.out)
    for note in draft.notes + tried:
        print(f'- {note}')
    name = args.out.rsplit('/', 1)[-1].removesuffix('.py')
    searched = f'work_dirs/{name}/searched'
    print(
        f'\n{args.out} is written. Look at it, then:\n\n'
        f'python -m hrnas_mm train {args.out}\n'
        f'python -m hrnas_mm train {args.out} --resume   # if interrupted\n'
        f'python -m hrnas_mm test {searched}/config.py {searched}/model.pth\n'
        f'python -m hrnas_mm export_onnx {searched}/config.py '
        f'{searched}/model.pth {name}.onnx'
    )


if __name__ == '__main__':
    main()
