r"""Train networks on CamVid, time them in turns, and compare their mIoU.

    pip install '.[seg,deploy]' && pip install --no-deps timm==1.0.31 \
        torch-pruning==1.6.1
    python benchmarks/lite0_weights.py data/lite0.pth
    python benchmarks/at_equal_milliseconds.py docs/results/camvid_ms.csv

Measures a table for each kind of search, trains what is missing in --work-dir
(ten minutes to half an hour a run on one core), and times all networks in
turns, one image in onnxruntime. Targets are shares of what DDRNet-23-slim
takes. A row has the seeds that have ended. Leave the machine alone while
tables are measured and networks are timed; --rows and --seeds choose what is
trained, --seeds alone nothing.
"""

import argparse
import csv
import datetime
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from torch import nn

from hrnas_mm.building import build_model, load_network
from hrnas_mm.deploy import DeployableModel, onnx_bytes
from hrnas_mm.deploy.dense import dense_part
from hrnas_mm.files import read_checkpoint
from hrnas_mm.runtimes import RUNTIMES, LocalTimer
from hrnas_mm.search.shrink import refresh_sizes_
from hrnas_mm.search.trace import trace

CAMVID, PEERS = Path('configs/mmseg/camvid'), Path('benchmarks/camvid')
RECIPE = '_1xb8-1200_camvid-192x256.py'
SHAPE = (3, 192, 256)
LITE0 = CAMVID / f'lite0-searched{RECIPE}'
LITE0_PRUNED = PEERS / f'lite0-torch-pruning{RECIPE}'
DDRNET = CAMVID / f'ddrnet-23-slim{RECIPE}'
SEARCHED_DDRNET = PEERS / f'ddrnet-searched{RECIPE}'
SUPERNET = CAMVID / f'hrnas{RECIPE}'


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        key: Name of its folder.
        text: What it is.
        config: Config of its runs.
        share: Share of DDRNet's milliseconds that a search has to meet.
        kept: Share of the multiply-adds that Torch-Pruning leaves.
        bold: Columns that stand out.
    """

    key: str
    text: str
    config: Path
    share: float | None = None
    kept: float | None = None
    bold: str = ''


ROWS = (
    Row(
        'lite0',
        'EfficientNet-Lite0, pretrained',
        CAMVID / f'lite0{RECIPE}',
    ),
    *(
        Row(
            f'lite0-{share:.0%}',
            f'EfficientNet-Lite0, pretrained, searched to {100 * share:.0f} %',
            LITE0,
            share,
            bold='network ms mIoU',
        )
        for share in (0.5, 0.25, 0.12)
    ),
    Row(
        'lite0-torch-pruning-25%',
        'EfficientNet-Lite0, pretrained, Torch-Pruning to 25 % of the '
        'multiply-adds',
        LITE0_PRUNED,
        kept=0.25,
    ),
    Row(
        'lite0-torch-pruning-15%',
        'EfficientNet-Lite0, pretrained, Torch-Pruning to 15 %',
        LITE0_PRUNED,
        kept=0.15,
    ),
    Row('supernet-25%', 'supernet, searched to 25 %', SUPERNET, 0.25),
    Row('ddrnet', 'DDRNet-23-slim', DDRNET),
    Row(
        'ddrnet-25%', 'DDRNet-23-slim, searched to 25 %', SEARCHED_DDRNET, 0.25
    ),
    Row(
        'ddrnet-w16',
        'DDRNet-23-slim, half as wide',
        CAMVID / f'ddrnet-23-slim-w16{RECIPE}',
    ),
    Row(
        'ddrnet-torch-pruning-25%',
        'DDRNet-23-slim, Torch-Pruning to 25 % of the multiply-adds',
        PEERS / f'ddrnet-torch-pruning{RECIPE}',
        kept=0.25,
    ),
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('out', type=Path, help='CSV file to write')
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/equal_milliseconds')
    )
    parser.add_argument(
        '--rows',
        nargs='+',
        choices=[row.key for row in ROWS],
        default=[row.key for row in ROWS],
        metavar='ROW',
        help='rows to train: %(choices)s; default: all',
    )
    parser.add_argument(
        '--seeds', nargs='*', type=int, default=[0, 1, 2], metavar='SEED'
    )
    parser.add_argument('--threads', type=int, default=1)
    return parser.parse_args()


def run(*command: object) -> None:
    """Run a tool of the project, which finds the modules of this folder."""
    folders = filter(None, ('benchmarks', os.environ.get('PYTHONPATH')))
    subprocess.run(
        [sys.executable, *map(str, command)],
        check=True,
        env=os.environ | {'PYTHONPATH': os.pathsep.join(folders)},
    )


def timed(models: Mapping[str, nn.Module]) -> dict[str, float]:
    """Return the milliseconds of networks that take turns."""
    timer, image = LocalTimer(RUNTIMES['onnxruntime']), torch.randn(1, *SHAPE)
    calls = {}
    for name, model in models.items():
        form = DeployableModel(model, 'onnxruntime', input_shape=SHAPE)
        file = onnx_bytes(form, image)
        calls[name] = timer.ready(name, partial(bytes, file), image)
    return timer.times(calls, 60.0)


def whole_ddrnet(folder: Path) -> float:
    """Return what DDRNet takes here; targets stay as they were at first."""
    path = folder / 'ddrnet_ms.json'
    if not path.exists():
        model = build_model(Config.fromfile(DDRNET)).eval()
        path.write_text(json.dumps(timed({'ddrnet': model})['ddrnet']))
    return json.loads(path.read_text())


def options_of(row: Row, folder: Path) -> dict[str, Any]:
    """Return what the run of a row has in place of its config's values."""
    if row.kept is not None:
        return {'custom_hooks.1.target': row.kept}
    if row.share is None:
        return {}
    table = folder / f'{row.config.stem}.json'
    if not table.exists():
        threads = torch.get_num_threads()
        run(
            'tools/measure_latency.py', row.config, table, '--threads', threads
        )
    hooks = Config.fromfile(row.config).custom_hooks
    search = f'custom_hooks.{len(hooks) - 1}'
    ms = row.share * whole_ddrnet(folder)
    return {f'{search}.target': f'{ms:.4g}ms', f'{search}.latency': table}


def train(row: Row, seed: int, folder: Path) -> None:
    """Train a row with one seed, or go on with a run that was broken off."""
    work_dir = folder / row.key / str(seed)
    if figure(work_dir) is not None:
        return
    options = options_of(row, folder) | {'randomness.seed': seed}
    run(
        'tools/train.py', row.config, '--work-dir', work_dir, '--resume',
        '--cfg-options', *(f'{k}={v}' for k, v in options.items()),
    )  # fmt: skip


def figure(work_dir: Path) -> float | None:
    """Return the mIoU at the end of a run, None if it has not ended."""
    found = None
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            values = json.loads(line)
            if 'mIoU' in values and values['step'] == 1200:
                found = values['mIoU']
    return found


def network(row: Row, work_dir: Path) -> nn.Module:
    """Return the network that a run has ended with."""
    cfg = Config.fromfile(next(work_dir.glob('*.py')))
    if row.kept is not None:
        return pruned_network(cfg, str(work_dir / 'iter_1200.pth'))
    searched = work_dir / 'searched'
    if searched.exists():
        cfg = Config.fromfile(searched / 'config.py')
        return load_network(cfg, str(searched / 'model.pth'))
    return load_network(cfg, str(work_dir / 'iter_1200.pth'))


def pruned_network(cfg: Config, checkpoint: str) -> nn.Module:
    """Return a network of other sizes than its config says, in eval mode.

    Args:
        cfg: Config of the run in which it was pruned.
        checkpoint: What the run has left: the shapes of its weights say what
            is left of each layer.
    """
    for part in cfg.model.values():
        if isinstance(part, dict):
            part.pop('init_cfg', None)
    model = build_model(cfg)
    for name, weight in read_checkpoint(checkpoint)['state_dict'].items():
        module, _, tensor = name.rpartition('.')
        getattr(model.get_submodule(module), tensor).data = weight.clone()
    for layer in model.modules():
        grouped = getattr(layer, 'groups', 1) > 1
        refresh_sizes_(layer, depthwise=grouped or None)
    return model.eval()


def spread(name: str, values: Iterable[float], digits: int) -> dict[str, str]:
    """Return the columns for the values of all seeds."""
    values = list(values)
    texts = [f'{value:.{digits}f}' for value in values]
    if len(values) > 2:
        mean, deviation = statistics.mean(values), statistics.stdev(values)
        return {
            name: f'{mean:.{digits}f}',
            f'{name}_deviation': f'{deviation:.{digits}f}',
        }
    if len(set(texts)) == 2:
        return {f'{name}_seed_{i}': text for i, text in enumerate(texts)}
    return {name: texts[0]}


def row_of(
    row: Row,
    ended: Mapping[int, Path],
    models: Mapping[str, nn.Module],
    ms: Mapping[str, float],
) -> dict[str, str]:
    """Return a row of the file; models and times are by their folders."""
    own = [models[str(path)] for path in ended.values()]
    macs = [trace(m, SHAPE, dense_part(m)).macs[''] / 1e6 for m in own]
    taken = [ms[str(path)] for path in ended.values()]
    return {
        'network': row.text,
        'seeds': ', '.join(map(str, ended)),
        **spread('ms', taken, 2),
        **spread('ratio', [each / ms['ddrnet'] for each in taken], 2),
        'multiply_adds_M': f'{statistics.mean(macs):.0f}',
        **spread('mIoU', [figure(path) or 0.0 for path in ended.values()], 1),
        'runs': str(len(ended)),
        'date': datetime.date.today().isoformat(),
        'machine': LocalTimer(RUNTIMES['onnxruntime']).device,
        'bold': row.bold,
    }


def main() -> None:
    """Train what is missing, time everything, and write the file."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for row in ROWS:
            if row.key in args.rows:
                train(row, seed, args.work_dir)
    ended = {
        row: {
            int(path.name): path
            for path in sorted((args.work_dir / row.key).glob('[0-9]*'))
            if figure(path) is not None
        }
        for row in ROWS
    }
    models = {
        str(path): network(row, path)
        for row, paths in ended.items()
        for path in paths.values()
    }
    models['ddrnet'] = build_model(Config.fromfile(DDRNET)).eval()
    ms = timed(models)
    rows = [
        row_of(row, paths, models, ms) for row, paths in ended.items() if paths
    ]
    columns = dict.fromkeys(name for row in rows for name in row)
    with args.out.open('w', newline='') as file:
        writer = csv.DictWriter(file, list(columns), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


if __name__ == '__main__':
    main()
