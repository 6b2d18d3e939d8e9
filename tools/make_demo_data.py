"""Write a small generated data set in the layout of a benchmark.

The configs of the benchmark run on it if their ``data_root`` is replaced.

cityscapes, ade20k: street scenes with label maps
coco: stick figures with keypoints and detector boxes
kitti: lidar points of cars, pedestrians and cyclists
imagenet: shapes of ten classes
"""

import argparse
import os

from demo_data import LAYOUTS

from hrnas_mm.cli.config import count_of

# File that marks a folder of generated data, which may be replaced.
MARK = '.generated'


def parse_args() -> argparse.Namespace:
    """Read the command line; defaults are those of the layout."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'layout', choices=list(LAYOUTS), help='benchmark whose layout to use'
    )
    parser.add_argument(
        'out', help='folder to write, the data_root of configs'
    )
    parser.add_argument(
        '--train', type=count_of, help='number of training images or frames'
    )
    parser.add_argument(
        '--val', type=count_of, help='number of validation images or frames'
    )
    parser.add_argument(
        '--size',
        type=count_of,
        nargs=2,
        metavar=('WIDTH', 'HEIGHT'),
        help='size of the images in pixels',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the random generator'
    )
    args = parser.parse_args()
    if os.path.isdir(args.out):
        names = os.listdir(args.out)
        if names and MARK not in names:
            parser.error(
                f'{args.out} has files that were not generated, such as '
                f'{min(names)}: choose a new folder'
            )
    layout = LAYOUTS[args.layout]
    if args.size and layout.size is None:
        parser.error(f'--size cannot be chosen for {args.layout}')
    for name in ('train', 'val', 'size'):
        if getattr(args, name) is None:
            setattr(args, name, getattr(layout, name))
    return args


def main() -> None:
    """Write the data."""
    args = parse_args()
    counts = dict(train=args.train, val=args.val)
    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.out, MARK), 'w'):
        pass
    LAYOUTS[args.layout].make(args.out, counts, args.size, args.seed)
    print(
        f'{args.train} for training and {args.val} for validation are in '
        f'{args.out}'
    )


if __name__ == '__main__':
    main()
