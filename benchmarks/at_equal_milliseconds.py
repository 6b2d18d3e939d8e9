r"""Train networks, time them in turns, and compare their figures.

    pip install '.[seg,deploy]' && pip install --no-deps timm==1.0.31 \
        torch-pruning==1.6.1  # and see fastnas_hook.py
    python benchmarks/lite0_weights.py data/lite0.pth
    python tools/make_demo_data.py coco data/people --train 2000 --val 400
    python benchmarks/at_equal_milliseconds.py camvid camvid_ms.csv

Measures a table for each kind of search, trains what is missing in --work-dir
(ten minutes to half an hour a run on one core), and times all networks in
turns, one image in onnxruntime. Targets are shares of what the first network
takes that studies.py names for the table. A row has the seeds that have ended.
Leave the machine alone while tables are measured and networks are timed;
--rows and --seeds choose what is trained, --seeds alone nothing.
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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from studies import STUDIES, Row, Study
from torch import nn

from hrnas_mm.building import build_model, load_network
from hrnas_mm.deploy import DeployableModel, onnx_bytes
from hrnas_mm.deploy.dense import dense_part
from hrnas_mm.files import read_checkpoint
from hrnas_mm.latency import read_latency_table
from hrnas_mm.runtimes import RUNTIMES, LocalTimer
from hrnas_mm.search.shrink import refresh_sizes_
from hrnas_mm.search.trace import trace


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('study', choices=list(STUDIES), help='which table')
    parser.add_argument('out', type=Path, help='CSV file to write')
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/equal_milliseconds')
    )
    parser.add_argument(
        '--rows',
        nargs='+',
        metavar='ROW',
        help='rows to train, by their keys in studies.py; default: all',
    )
    parser.add_argument(
        '--seeds', nargs='*', type=int, default=[0, 1, 2], metavar='SEED'
    )
    parser.add_argument('--threads', type=int, default=1)
    args = parser.parse_args()
    keys = [row.key for row in STUDIES[args.study].rows]
    args.rows = keys if args.rows is None else args.rows
    if unknown := set(args.rows) - set(keys):
        parser.error(f'no such rows: {unknown}; there are {keys}')
    return args


def run(*command: object) -> None:
    """Run a tool of the project, which finds the modules of this folder."""
    folders = filter(None, ('benchmarks', os.environ.get('PYTHONPATH')))
    subprocess.run(
        [sys.executable, *map(str, command)],
        check=True,
        env=os.environ | {'PYTHONPATH': os.pathsep.join(folders)},
    )


def timed(
    models: Mapping[str, nn.Module],
    shape: tuple[int, int, int],
    steps: Mapping[str, int],
) -> dict[str, float]:
    """Return the milliseconds of networks that take turns.

    Args:
        models: The networks, by name.
        shape: Shape of an image.
        steps: By name, to whose multiples channels are rounded up, where the
            constants of the runtime do not decide.
    """
    timer, image = LocalTimer(RUNTIMES['onnxruntime']), torch.randn(1, *shape)
    calls = {}
    for name, model in models.items():
        form = DeployableModel(
            model,
            'onnxruntime',
            round=steps.get(name, 'auto'),
            input_shape=shape,
        )
        file = onnx_bytes(form, image)
        calls[name] = timer.ready(name, partial(bytes, file), image)
    return timer.times(calls, 60.0)


@dataclass
class Runs:
    """The runs of a table.

    Args:
        study: What the table compares.
        folder: Folder of its runs and of the tables of milliseconds.
    """

    study: Study
    folder: Path

    def reference(self) -> nn.Module:
        """Return the network whose milliseconds are 1."""
        return build_model(Config.fromfile(self.study.reference)).eval()

    def whole_ms(self) -> float:
        """Return what it takes here; targets stay as they were at first."""
        path = self.folder / f'{self.study.reference.stem}_ms.json'
        if not path.exists():
            ms = timed({'': self.reference()}, self.study.shape, {})
            path.write_text(json.dumps(ms['']))
        return json.loads(path.read_text())

    def options_of(self, row: Row) -> dict[str, Any]:
        """Return what a row has in place of its config's values."""
        if row.kept is not None:
            return {'custom_hooks.1.target': row.kept}
        if row.within is not None:
            ms = row.within * self.whole_ms()
            return {'custom_hooks.1.latency': f'{ms:.4g}'}
        if row.share is None:
            return dict(row.options)
        table = self.folder / f'{row.config.stem}.json'
        if not table.exists():
            threads = torch.get_num_threads()
            run(
                'tools/measure_latency.py', row.config, table,
                '--threads', threads,
            )  # fmt: skip
        hooks = Config.fromfile(row.config).custom_hooks
        search = f'custom_hooks.{len(hooks) - 1}'
        ms = row.share * self.whole_ms()
        return {f'{search}.target': f'{ms:.4g}ms', f'{search}.latency': table}

    def train(self, row: Row, seed: int) -> None:
        """Train a row, or go on with a run that was broken off."""
        work_dir = self.folder / row.key / str(seed)
        if self.figure(work_dir) is not None:
            return
        options = self.options_of(row) | {'randomness.seed': seed}
        run(
            'tools/train.py', row.config, '--work-dir', work_dir, '--resume',
            '--cfg-options', *(f'{k}={v}' for k, v in options.items()),
        )  # fmt: skip

    def figure(self, work_dir: Path) -> float | None:
        """Return the figure at the end of a run, None if it has not ended."""
        found = None
        for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
            for line in path.read_text().splitlines():
                values = json.loads(line)
                if values.get('step') == self.study.end:
                    found = values.get(self.study.metric, found)
        return None if found is None else self.study.scale * found

    def networks(self, row: Row) -> dict[Path, nn.Module]:
        """Return what the runs of a row that have ended are, by folder."""
        return {
            path: network(row, path)
            for path in sorted((self.folder / row.key).glob('[0-9]*'))
            if self.figure(path) is not None
        }


def config_and_checkpoint(work_dir: Path) -> tuple[Config, str]:
    """Return those of the network that a run has ended with."""
    searched = work_dir / 'searched'
    if searched.exists():
        path = searched / 'config.py'
        return Config.fromfile(path), str(searched / 'model.pth')
    last = Path((work_dir / 'last_checkpoint').read_text()).name
    return Config.fromfile(min(work_dir.glob('*.py'))), str(work_dir / last)


def network(row: Row, work_dir: Path) -> nn.Module:
    """Return the network that a run has ended with."""
    cfg, checkpoint = config_and_checkpoint(work_dir)
    if row.kept is not None or row.within is not None:
        return pruned_network(cfg, checkpoint)
    return load_network(cfg, checkpoint)


def step_of(work_dir: Path) -> int | None:
    """Return to which multiples the table of a run's search rounds up."""
    cfg = Config.fromfile(min(work_dir.glob('*.py')))
    tables = [hook.get('latency') for hook in cfg.get('custom_hooks') or []]
    for path in filter(None, tables):
        if Path(path).is_file():
            return read_latency_table(str(path)).conditions.round
    return None


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
    runs: Runs,
    row: Row,
    models: Mapping[Path, nn.Module],
    ms: Mapping[str, float],
) -> dict[str, str]:
    """Return a row of the file.

    Args:
        runs: The runs.
        row: The row.
        models: The networks of its runs, by their folders.
        ms: What all networks take, by their folders; '' is the reference.
    """
    macs = [
        trace(model, runs.study.shape, dense_part(model)).macs[''] / 1e6
        for model in models.values()
    ]
    taken = [ms[str(path)] for path in models]
    figures = [runs.figure(path) or 0.0 for path in models]
    return {
        'network': row.text,
        'seeds': ', '.join(path.name for path in models),
        **spread('ms', taken, 2),
        **spread('ratio', [each / ms[''] for each in taken], 2),
        'multiply_adds_M': f'{statistics.mean(macs):.0f}',
        **spread(runs.study.column, figures, 1),
        'runs': str(len(models)),
        'date': datetime.date.today().isoformat(),
        'machine': LocalTimer(RUNTIMES['onnxruntime']).device,
        'bold': row.bold,
    }


def main() -> None:
    """Train what is missing, time everything, and write the file."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    runs = Runs(STUDIES[args.study], args.work_dir)
    for seed in args.seeds:
        for row in runs.study.rows:
            if row.key in args.rows:
                runs.train(row, seed)
    found = [(row, runs.networks(row)) for row in runs.study.rows]
    every = {str(p): model for _, each in found for p, model in each.items()}
    steps = {path: step for path in every if (step := step_of(Path(path)))}
    ms = timed({'': runs.reference()} | every, runs.study.shape, steps)
    rows = [row_of(runs, row, each, ms) for row, each in found if each]
    columns = dict.fromkeys(name for row in rows for name in row)
    with args.out.open('w', newline='') as file:
        writer = csv.DictWriter(file, list(columns), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


if __name__ == '__main__':
    main()
