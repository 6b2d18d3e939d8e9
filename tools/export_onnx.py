"""Export a model to ONNX, and compare the file with torch.

    python tools/export_onnx.py CONFIG CHECKPOINT OUT.onnx --shape 512 1024

The file has the deployed form of the model: the same function, made fast for
a runtime. docs/deploy.md explains it.

Of a detector, only the dense part (backbone, neck and head) is exported; for
PointPillars, this is the part from the pseudo-image to the outputs of the
heads. The input is an image as normalised by the data_preprocessor, or with
--with-normalization its pixels. The outputs are the maps or scores of the
heads, or with --argmax what is best by them. How an image is normalised, and
the names of the classes, are in the metadata.

Which form is fastest, constants say that were measured elsewhere. Run on the
device that the file is for, with the machine left alone, --tune finds out.
"""

import argparse
import os
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from exporting.int8 import (
    IMAGES,
    add_int8,
    as_read,
    check_int8,
    quantize_,
)
from exporting.plain import plain_script
from mmengine.config import Config
from rich.progress import (
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from torch import Tensor, nn

from hrnas_mm.building import first_input, load_network
from hrnas_mm.cli.config import (
    add_config_arguments,
    add_form_arguments,
    add_shape_argument,
    count_of,
    read_config,
)
from hrnas_mm.cli.errors import add_force, check_new, clear_errors
from hrnas_mm.deploy import (
    INT8,
    OPSETS,
    Ends,
    check_onnx,
    ends_of,
    export_onnx,
    input_shape_of,
)
from hrnas_mm.files import read_checkpoint, replacing
from hrnas_mm.latency import TunedForm, tuned_form
from hrnas_mm.latency.networks import threads
from hrnas_mm.modules.deployed import CONSTANTS
from hrnas_mm.runtimes import RUNTIMES, LocalTimer
from hrnas_mm.search_in_config import search_shape


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument(
        'checkpoint',
        help='checkpoint to load, for example of a shrunk network',
    )
    parser.add_argument('out', help='ONNX file to write')
    add_shape_argument(parser)
    parser.add_argument(
        '--dynamic-batch',
        action='store_true',
        help='export a file that accepts any batch size',
    )
    add_ends(parser)
    add_int8(parser)
    parser.add_argument(
        '--opset',
        type=int,
        default=OPSETS[0],
        help=f'opset of ONNX, {OPSETS[0]} (default) to {OPSETS[-1]}',
    )
    parser.add_argument(
        '--runtime',
        choices=list(CONSTANTS),
        default='onnxruntime',
        help='runtime for which the form is chosen; default: onnxruntime',
    )
    add_form_arguments(parser)
    parser.add_argument(
        '--tune',
        action='store_true',
        help='time the forms of each block and of the network here, and take '
        'the fastest, a matter of minutes',
    )
    parser.add_argument(
        '--threads',
        type=count_of,
        default=1,
        help='with --tune: number of CPU threads; default: %(default)s',
    )
    add_force(parser)
    args = parser.parse_args()
    check_together(parser, args)
    args.calibrate = args.calibrate or IMAGES
    return args


def check_together(
    parser: argparse.ArgumentParser, args: argparse.Namespace
) -> None:
    """Exit with a clear error where options do not go together."""
    if args.tune and args.fuse != 'auto':
        parser.error('--tune finds out what --fuse sets: give one of them')
    if args.calibrate is not None and not args.int8:
        parser.error('--calibrate is for --int8, which is not given')
    if args.int8 and args.runtime == 'torch':
        parser.error(
            '--int8 writes a file for onnxruntime or OpenVINO, got --runtime '
            'torch'
        )
    if args.tune and args.runtime == 'torch':
        parser.error(
            '--tune times the file, and torch runs none: give another '
            '--runtime'
        )


def add_ends(parser: argparse.ArgumentParser) -> None:
    """Add the options for what stands before and after the dense part."""
    parser.add_argument(
        '--with-normalization',
        action='store_true',
        help='let the file subtract the mean, divide by the std and change '
        'the order of channels: it takes pixels of 0 to 255 in BGR',
    )
    parser.add_argument(
        '--argmax',
        action='store_true',
        help='let the file take the maximum: the label map of a segmentor, '
        'the best class of a classifier, the keypoints of heat maps',
    )


def tuned(
    args: argparse.Namespace, model: nn.Module, shape: Sequence[int]
) -> TunedForm:
    """Return the fastest form on this device, and print the others."""
    dtype = INT8 if args.int8 else 'float32'
    timer = LocalTimer(RUNTIMES[args.runtime], dtype=dtype)
    with (
        threads(args.threads),
        Progress(
            SpinnerColumn(),
            TextColumn('{task.description}'),
            TimeElapsedColumn(),
            transient=True,
        ) as progress,
    ):
        task = progress.add_task('')
        found = tuned_form(
            model,
            shape,
            timer,
            args.round,
            report=lambda text: progress.update(task, description=text),
        )
    for name, ms in found.ms.items():
        print(f'{ms:.2f} ms {name}' + ', taken' * (name == found.name))
    print(f'{timer.device}, {timer.backend} {timer.version}: {found}')
    return found


def inputs_to_check(
    cfg: Config,
    model: nn.Module,
    shape: Sequence[int],
    batch_size: int,
    ends: Ends,
) -> dict[str, Tensor]:
    """Return a random input and, if the test data are there, a real one."""
    inputs = dict(random=torch.randn(batch_size, *shape))
    try:
        image = first_input(cfg, model)
    except FileNotFoundError as error:
        print(f'Not compared on real input: {error}')
    else:
        image = F.interpolate(image[:1], tuple(shape[1:]), mode='bilinear')
        inputs['real'] = image.repeat(batch_size, 1, 1, 1)
    return {name: as_read(x, ends) for name, x in inputs.items()}


def main() -> None:
    """Load the model, export it, and compare the outputs."""
    args = parse_args()
    cfg = read_config(args)
    with clear_errors():
        check_new(args.out, args.force)
        if args.int8:
            check_int8(cfg)
        model = load_network(cfg, args.checkpoint)
        meta = read_checkpoint(args.checkpoint).get('meta', {})
        shape = input_shape_of(model, args.shape or search_shape(cfg))
        batch_size = 2 if args.dynamic_batch else 1
        ends = ends_of(model, shape, args.with_normalization, args.argmax)
        form = tuned(args, model, shape) if args.tune else None
        with replacing(args.out) as new:
            print(
                'Exporting takes seconds to minutes, longest with '
                '--dynamic-batch.'
            )
            with Progress(
                SpinnerColumn(), TimeElapsedColumn(), transient=True
            ) as progress:
                progress.add_task('')
                export_onnx(
                    model,
                    shape,
                    new,
                    args.dynamic_batch,
                    args.opset,
                    args.runtime,
                    args.fuse,
                    form.round if form else args.round,
                    meta.get('dataset_meta'),
                    form.choices if form else None,
                    ends,
                )
            for name, images in inputs_to_check(
                cfg, model, shape, batch_size, ends
            ).items():
                worst = check_onnx(new, model, images, ends)
                print(
                    f'{name} input: largest difference to torch {worst:.2g} '
                    'of the largest output'
                )
            if args.int8:
                quantize_(
                    new, cfg, model, shape, args.calibrate, ends, args.runtime
                )
    print(
        f'{args.out}: {os.path.getsize(args.out) / 1e6:.2f} MB, input '
        f'{"B" if args.dynamic_batch else 1} x {tuple(shape)}'
    )
    script = plain_script(args.out, model, ends)
    for_another = args.int8 and args.runtime != 'onnxruntime'
    if script is not None and not for_another:
        print(f'\nWith onnxruntime, numpy and pillow alone:\n\n{script}')


if __name__ == '__main__':
    main()
