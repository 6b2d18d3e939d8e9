"""Runs of several configs with several seeds, each in its folder."""

import hashlib
import json
import math
import os.path as osp
from collections.abc import Sequence
from glob import escape, glob
from typing import Any, NamedTuple

from mmengine.config import Config

from hrnas_mm.cli.candidate import Candidate, load_candidate
from hrnas_mm.cli.config import prepare_config
from hrnas_mm.files import read_json
from hrnas_mm.search_in_config import is_of_type, search_hooks

RESULT = 'result.json'


class Run(NamedTuple):
    """A config with a seed, and the folder of its run.

    Attributes:
        config: Path of the config.
        seed: Seed of the run.
        folder: Folder of the run.
        digest: Digest of what the config says; '' if it is not compared.
    """

    config: str
    seed: int
    folder: str
    digest: str = ''


def runs_of(
    configs: Sequence[str], seeds: Sequence[int], work_dir: str
) -> list[Run]:
    """Return the runs of configs with each of several seeds.

    Raises:
        ValueError: If two configs have the same name, and thus one folder, a
            seed is there twice, or a config logs no metrics to a file. One
            that cannot be read raises what
            :func:`~hrnas_mm.cli.config.prepare_config` raises.
    """
    if len(set(seeds)) < len(seeds):
        raise ValueError(f'--seeds must differ, got {list(seeds)}')
    names = [osp.splitext(osp.basename(path))[0] for path in configs]
    if len(set(names)) < len(names):
        raise ValueError(f'the configs must have different names, got {names}')
    runs = []
    for path, name in zip(configs, names):
        cfg = prepare_config(path)
        _check_log(path, cfg)
        digest = _digest(cfg)
        runs += [
            Run(path, seed, osp.join(work_dir, name, f'seed-{seed}'), digest)
            for seed in seeds
        ]
    return runs


def _check_log(path: str, cfg: Config) -> None:
    """Raise ValueError unless runs will log metrics where they are read."""
    backends = (cfg.get('visualizer') or {}).get('vis_backends') or ()
    if backends and not any(
        is_of_type(b, 'LocalVisBackend') for b in backends
    ):
        raise ValueError(
            f'visualizer.vis_backends of {path} must have a LocalVisBackend, '
            f'of which the metrics are read, got {backends}'
        )


def _digest(cfg: Config) -> str:
    """Return a digest of what a config says, the same in every process."""
    text = json.dumps(
        cfg.to_dict(),
        skipkeys=True,
        default=lambda value: getattr(
            value, '__qualname__', type(value).__name__
        ),
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def noted(run: Run) -> dict[str, Any]:
    """Return what a run has noted: its settings, at the end its metric."""
    path = osp.join(run.folder, RESULT)
    values: dict[str, Any] = read_json(path) if osp.isfile(path) else {}
    return values


def is_finished(run: Run) -> bool:
    """Return whether a run has noted a metric."""
    return bool(set(noted(run)) - {'options', 'config'})


def has_begun(run: Run) -> bool:
    """Return whether a run is finished, or has a checkpoint to resume."""
    last = osp.join(run.folder, 'last_checkpoint')
    return is_finished(run) or osp.isfile(last)


def metric_of(run: Run, metric: str) -> float:
    """Return a metric of a finished run, from its notes or else its log."""
    values = noted(run)
    if metric in values:  # null is NaN, which JSON has not
        return math.nan if values[metric] is None else float(values[metric])
    return last_value(run.folder, metric)


def last_value(folder: str, metric: str) -> float:
    """Return the last value of a metric that a run has logged.

    Raises:
        RuntimeError: If there is none.
    """
    found: list[float] = []
    known: set[str] = set()
    logs = glob(osp.join(escape(folder), '*', 'vis_data', '*.json'))
    for path in sorted(logs):  # their folders are named after the time
        with open(path) as file:
            for line in file:
                values = _values_in(line)
                if 'lr' not in values:  # of an evaluation
                    known |= set(values) - {'step'}
                if metric in values:
                    found.append(values[metric])
    if not found:
        raise RuntimeError(
            f'--metric must be one that {folder} has evaluated, '
            f'{", ".join(sorted(known)) or "and there is none"}; got '
            f'{metric!r}'
        )
    return found[-1]


def _values_in(line: str) -> dict[str, Any]:
    """Return the values in a log's line; a killed run leaves half a line."""
    try:
        values = json.loads(line)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def network_of(run: Run, shape: Sequence[int] | None) -> Candidate:
    """Return the network that a run has ended with; weights do not matter.

    Raises:
        FileNotFoundError: If a search has left no network.
    """
    trained = osp.join(run.folder, osp.basename(run.config))
    if not any(search_hooks(prepare_config(trained))):
        return load_candidate(trained, None, shape)
    searched = osp.join(run.folder, 'searched')
    model = osp.join(searched, 'model.pth')
    if not osp.isfile(model):
        raise FileNotFoundError(f'{model} does not exist: did the search end?')
    return load_candidate(osp.join(searched, 'config.py'), model, shape)
