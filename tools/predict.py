"""Predict images, or a video, with a checkpoint or an exported file.

    python tools/predict.py CONFIG CHECKPOINT IMAGE --out DIR
    python tools/predict.py CONFIG FILE.onnx FOLDER --out DIR
    python tools/predict.py CONFIG CHECKPOINT VIDEO.mp4 --out DIR

The images go through the test pipeline of the config. DIR/vis has the
predictions drawn over the images, as the visualizer of the config draws them,
and DIR/preds has them as they are: label maps as .png files, everything else
as .json files. An image that cannot be read is named and left out. A top-down
keypoint model takes an image for one person, or reads the persons' --boxes.
"""

import argparse
import os.path as osp
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product

import numpy as np
import torch
from exporting.files import (
    add_backend,
    check_backend,
    is_exported,
    runtime_of,
)
from predicting.predictor import Predictor, Unreadable
from predicting.sources import (
    VIDEOS,
    Source,
    Video,
    boxes_of,
    images_in,
)
from predicting.writing import (
    OVERLAYS,
    RESULTS,
    write_overlay,
    write_results,
    writing_video,
)
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeRemainingColumn,
)
from rich.text import Text

from hrnas_mm.cli.config import add_config_arguments, read_config
from hrnas_mm.cli.errors import clear_errors, is_ours
from hrnas_mm.frameworks import framework_of
from hrnas_mm.spelling import counted

Boxes = Callable[[Source], Sequence[Sequence[float]] | None]
Write = Callable[[str, np.ndarray], None]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument(
        'checkpoint',
        help='checkpoint, of a shrunk network or not, or ONNX file that '
        'export_onnx has written',
    )
    parser.add_argument('input', help='image, folder of images, or video')
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='folder of the results'
    )
    parser.add_argument(
        '--boxes',
        metavar='DIR',
        help='with a top-down keypoint model: folder preds of the same images '
        'by a detector of persons; default: each image is one person',
    )
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='cpu or cuda, on which a checkpoint runs; default: cuda if there '
        'is one',
    )
    add_backend(parser)
    args = parser.parse_args()
    check_backend(parser, args, [args.checkpoint])
    return args


def check_out(args: argparse.Namespace, read: Sequence[str]) -> None:
    """Check that results can be written, and over no image that is read.

    Args:
        args: Command line.
        read: What is read, where it really is.

    Raises:
        ValueError: If they would be in the folder of the images, or these are
            where results go.
    """
    if osp.exists(args.out) and not osp.isdir(args.out):
        raise ValueError(f'--out must be a folder, got the file {args.out}')
    for name, given in product((OVERLAYS, RESULTS), read):
        folder = osp.realpath(osp.join(args.out, name))
        if osp.commonpath([folder, given]) in (folder, given):
            raise ValueError(
                f'--out must be another folder: results would go to {folder},'
                f' and the images are in {given}'
            )


class Speed(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        """Show them once there are some."""
        speed = task.finished_speed or task.speed
        return Text(f'{speed:.1f} images/s' if speed else '')


class Totals:
    """Count what was predicted, and name what was left out."""

    def __init__(self) -> None:
        self.images, self.seconds = 0, 0.0
        self.left_out: list[str] = []

    def __str__(self) -> str:
        images = counted(self.images, 'image')
        if not self.images:
            return images
        return (
            f'{images} predicted, {self.images / self.seconds:.1f} images/s '
            'without reading, drawing and writing'
        )


def predict_each(
    predictor: Predictor,
    sources: Sequence[Source] | Video,
    out: str,
    boxes: Boxes,
    write: Write,
    progress: Progress,
) -> Totals:
    """Predict and write one image after the other."""
    totals = Totals()
    task = progress.add_task('', total=len(sources))
    for source in sources:
        try:
            loaded = predictor.load(source)
            begun = time.perf_counter()
            sample = predictor.predict(loaded, boxes(source))
            totals.seconds += time.perf_counter() - begun
        except (Unreadable, ValueError) as error:
            if not isinstance(error, Unreadable) and not is_ours(error):
                raise
            # Where a frame was kept for a moment says nothing.
            name = source.name if isinstance(sources, Video) else source.path
            totals.left_out.append(name)
            progress.console.print(f'left out: {name}: {error}')
        else:
            totals.images += 1
            write_results(out, source.name, sample, predictor.classes)
            write(source.name, predictor.overlay(source, loaded, sample))
        progress.advance(task)
    return totals


@contextmanager
def overlays(out: str, sources: Sequence[Source] | Video) -> Iterator[Write]:
    """Yield what writes a picture: a file each, or all in one video."""
    if isinstance(sources, Video):
        with writing_video(out, sources.name, sources.fps) as add:
            yield lambda name, image: add(image)
    else:
        yield partial(write_overlay, out)


def main() -> None:
    """Predict all images, and say how fast that was."""
    args = parse_args()
    with clear_errors():
        sources: Sequence[Source] | Video
        others: list[str] = []
        check_out(args, [osp.realpath(args.input)])
        if args.input.lower().endswith(VIDEOS):
            sources = Video(args.input)
        else:
            sources, others, folders = images_in(args.input)
            check_out(args, folders)
        cfg = read_config(args)
        runtime = runtime_of(args) if is_exported(args.checkpoint) else None
        predictor = Predictor(cfg, args.checkpoint, args.device, runtime)
        if args.boxes and not framework_of(cfg).poses:
            raise ValueError(
                f'--boxes is for a keypoint model, got {args.config}'
            )
    columns = BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn()
    console = Console(soft_wrap=True, markup=False, highlight=False)
    boxes = partial(boxes_of, args.boxes) if args.boxes else lambda _: None
    with (
        clear_errors(),
        Progress(*columns, console=console) as progress,
        overlays(args.out, sources) as write,
    ):
        totals = predict_each(
            predictor, sources, args.out, boxes, write, progress
        )
    print(f'{args.out}: {totals}')
    if others:
        print(
            f'{counted(len(others), "file")} of {args.input} passed over, '
            f'such as {others[0]}: no images, or broken links'
        )
    if totals.left_out:
        print(f'{counted(len(totals.left_out), "file")} left out, see above')
    missing = len(sources) - totals.images - len(totals.left_out)
    if missing > 0:
        print(f'{missing} of {len(sources)} frames could not be read')
    if not totals.images:
        print('error: no image could be predicted', file=sys.stderr)
        raise SystemExit(2)


if __name__ == '__main__':
    main()
