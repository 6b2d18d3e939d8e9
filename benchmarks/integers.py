r"""Compare networks in floats and in 8-bit integers: metric and milliseconds.

    python tools/measure_latency.py CONFIG int8.json --dtype int8
    python tools/train.py CONFIG --work-dir work_dirs/searched --cfg-options \
        custom_hooks.1.latency=int8.json custom_hooks.1.target=1.33ms
    python benchmarks/integers.py integers.csv \
        'DDRNet-23-slim=work_dirs/ddrnet' 'searched=work_dirs/searched'

Of each run that has ended, the network is exported, in floats and, calibrated
on the training images that each seed draws, in 8-bit integers. All files are
evaluated as tools/test.py does, and take turns in --backend with one thread.
Leave the machine alone meanwhile. --convolutions times single layers instead.
"""

import argparse
import csv
import datetime
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from at_equal_milliseconds import config_and_checkpoint
from mmengine.config import Config
from torch import nn

from hrnas_mm.building import build_runner, load_network, training_inputs
from hrnas_mm.deploy import (
    export_onnx,
    input_shape_of,
    onnx_bytes,
    quantized,
)
from hrnas_mm.deploy.int8 import OPERATORS
from hrnas_mm.runtimes import RUNTIMES, LocalTimer
from hrnas_mm.runtimes.exported import predict_by_file_
from hrnas_mm.search_in_config import search_shape

SIZE = (48, 64)  # of a map
CHANNELS = (16, 32, 48, 64, 96, 128)
FEW, MANY = 2, 8  # layers of a chain


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('out', type=Path, help='CSV file to write')
    parser.add_argument(
        'runs', nargs='*', metavar='NAME=WORK_DIR', help='runs that have ended'
    )
    parser.add_argument(
        '--backend',
        choices=list(OPERATORS),
        default='onnxruntime',
        help='what evaluates and times the files; default: %(default)s',
    )
    parser.add_argument('--metric', default='mIoU', help='which is compared')
    parser.add_argument('--calibrate', type=int, default=64, metavar='N')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--convolutions', action='store_true')
    args = parser.parse_args()
    if not args.convolutions and not all(
        '=' in run for run in args.runs or ' '
    ):
        parser.error(f'runs must be NAME=WORK_DIR, got {args.runs}')
    return args


def figure(cfg: Config, model: nn.Module, args: argparse.Namespace) -> float:
    """Return what a model reaches on the test data."""
    cfg.update(work_dir=str(args.work_dir), launcher='none', load_from=None)
    cfg.custom_hooks = []
    runner: Any = build_runner(cfg, 'test_dataloader')
    runner.model = model
    return float(runner.test()[args.metric])


def figure_of_file(
    cfg: Config, checkpoint: str, content: bytes, args: argparse.Namespace
) -> float:
    """Return what a file reaches on the test data."""
    model = load_network(cfg, checkpoint)
    path = args.work_dir / 'model.onnx'
    path.write_bytes(content)
    predict_by_file_(model, str(path), RUNTIMES[args.backend])
    return figure(cfg, model, args)


def compared(
    args: argparse.Namespace, work_dir: Path
) -> tuple[dict[str, bytes], dict[str, float]]:
    """Return the files of a network, and the figures of it and of them."""
    cfg, checkpoint = config_and_checkpoint(work_dir)
    model = load_network(cfg, checkpoint)
    model.eval()
    shape = input_shape_of(model, search_shape(cfg))
    path = args.work_dir / 'model.onnx'
    export_onnx(model, shape, str(path), runtime=args.backend)
    files = {'onnx': path.read_bytes()}
    for seed in args.seeds:
        cfg.randomness = dict(seed=seed)
        images = training_inputs(cfg, model, args.calibrate)
        images = [
            nn.functional.interpolate(each, tuple(shape[1:]), mode='bilinear')
            for each in images
        ]
        files[f'int8_{seed}'] = quantized(files['onnx'], images, args.backend)
    figures = {'checkpoint': figure(cfg, model, args)} | {
        name: figure_of_file(cfg, checkpoint, content, args)
        for name, content in files.items()
    }
    return files, figures


def times_of(
    files: Mapping[str, bytes], shape: Sequence[int], backend: str
) -> Any:
    """Return the milliseconds of files that take turns."""
    timer, image = LocalTimer(RUNTIMES[backend]), torch.randn(1, *shape)
    ready = {
        name: timer.ready(name, partial(bytes, content), image)
        for name, content in files.items()
    }
    return timer.times(ready, 60.0)


def networks(args: argparse.Namespace) -> list[dict[str, str]]:
    """Return the rows of networks."""
    files: dict[str, bytes] = {}
    found: dict[str, dict[str, float]] = {}
    for run in args.runs:
        name, _, folder = run.partition('=')
        own, found[name] = compared(args, Path(folder))
        seed = f'int8_{args.seeds[0]}'
        files |= {f'{name} onnx': own['onnx'], f'{name} int8': own[seed]}
    (shape,) = {input_shape_of_file(content) for content in files.values()}
    ms = times_of(files, shape, args.backend)
    rows = []
    for name, figures in found.items():
        reached = [figures[f'int8_{seed}'] for seed in args.seeds]
        float_ms, int8_ms = ms[f'{name} onnx'], ms[f'{name} int8']
        rows.append(
            {
                'network': name,
                'checkpoint': f'{figures["checkpoint"]:.2f}',
                'onnx': f'{figures["onnx"]:.2f}',
                'int8': f'{statistics.mean(reached):.2f}',
                'int8_deviation': f'{statistics.stdev(reached):.2f}'
                if len(reached) > 1
                else '',
                'ms': f'{float_ms:.2f}',
                'int8_ms': f'{int8_ms:.2f}',
                'ratio': f'{int8_ms / float_ms:.2f}',
            }
        )
    return rows


def input_shape_of_file(content: bytes) -> tuple[int, ...]:
    """Return (C, H, W) of the image that a file reads."""
    import onnx

    (image,) = onnx.load_from_string(content).graph.input
    return tuple(d.dim_value for d in image.type.tensor_type.shape.dim)[1:]


def chain(channels: int, kernel: int, depthwise: bool, length: int) -> bytes:
    """Return the file of equal convolutions, one after the other."""
    conv = nn.Conv2d(
        channels,
        channels,
        kernel,
        padding=kernel // 2,
        groups=channels if depthwise else 1,
    )
    layers = nn.Sequential(*[conv] * length).eval()
    return onnx_bytes(layers, torch.randn(1, channels, *SIZE))


def convolutions(args: argparse.Namespace) -> list[dict[str, str]]:
    """Return the rows of single layers, in microseconds."""
    rows = []
    for name, kernel, depthwise in (
        ('1x1', 1, False),
        ('3x3', 3, False),
        ('3x3 depthwise', 3, True),
        ('5x5 depthwise', 5, True),
        ('7x7 depthwise', 7, True),
    ):
        row = {'convolution': name}
        for channels in CHANNELS:
            files = {}
            for length in (FEW, MANY):
                content = chain(channels, kernel, depthwise, length)
                files[f'float {length}'] = content
                files[f'int8 {length}'] = quantized(
                    content, None, args.backend
                )
            ms = times_of(files, (channels, *SIZE), args.backend)
            taken = [
                1e3 * (ms[f'{x} {MANY}'] - ms[f'{x} {FEW}']) / (MANY - FEW)
                for x in ('float', 'int8')
            ]
            row[f'of_{channels}'] = f'{taken[0]:.0f}; {taken[1]:.0f}'
        rows.append(row)
    return rows


def main() -> None:
    """Compare, and write the file."""
    args = parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        args.work_dir = Path(folder)
        rows = convolutions(args) if args.convolutions else networks(args)
    machine = LocalTimer(RUNTIMES[args.backend]).device
    today = datetime.date.today().isoformat()
    where = {'date': today, 'machine': machine, 'backend': args.backend}
    rows = [row | where for row in rows]
    with args.out.open('w', newline='') as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


if __name__ == '__main__':
    main()
