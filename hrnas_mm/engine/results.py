"""What a search leaves behind: ``work_dir/searched``."""

import os
import os.path as osp

import torch
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table
from torch import nn

from .. import compat
from ..config import build_model
from ..search import CostModel, architecture_of, write_architecture
from ..version import __version__
from .latency import latency
from .report import EVALUATIONS, count_params
from .surgery import deployed_model


@master_only
def write_results(runner: Runner, cost_model: CostModel) -> None:
    """Write architecture.json, model.pth and config.py; log the table.

    Args:
        runner: At the end of training; its deployed model is recalibrated.
        cost_model: Of the supernet that the search began with.
    """
    folder = osp.join(runner.work_dir, 'searched')
    os.makedirs(folder, exist_ok=True)
    model = deployed_model(runner)
    architecture = architecture_of(model)
    facts = dict(
        macs=cost_model.macs(architecture),
        params=count_params(model),
        input_shape=list(cost_model.input_shape),
    )
    write_architecture(
        osp.join(folder, 'architecture.json'), architecture, **facts
    )
    _save(_checkpoint(runner, model), osp.join(folder, 'model.pth'))
    config = searched_config(runner.cfg, architecture)
    if config is not None:
        config.dump(osp.join(folder, 'config.py'))
    runner.logger.info(
        f'Search finished; see {folder}\n' + _table(runner, model, cost_model)
    )


def searched_config(
    cfg: Config, architecture: dict[str, int]
) -> Config | None:
    """The run's config for the searched network, with no search in it.

    None where the run was not made from a config, or has no backbone.
    """
    if 'backbone' not in cfg.get('model', {}):
        return None
    cfg = Config(cfg.to_dict())
    prefix = 'backbone.'
    cfg.model.backbone.arch = {
        name[len(prefix) :]: count
        for name, count in architecture.items()
        if name.startswith(prefix)
    }
    cfg.custom_hooks = [
        hook
        for hook in cfg.get('custom_hooks', [])
        if not hook['type'].endswith('ProgressiveShrinkHook')
    ]
    for key in ('pretrained', 'init_cfg'):  # weights of the supernet
        cfg.model.backbone.pop(key, None)
    cfg.load_from, cfg.resume = None, False
    return cfg


def _checkpoint(runner: Runner, model: nn.Module) -> dict:
    """Tensors and plain types only: loading it can run no code."""
    metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', {})
    state_dict = {
        name: tensor.detach().cpu().clone()
        for name, tensor in model.state_dict().items()
    }
    meta = dict(
        dataset_meta=compat.plain(metainfo),
        iter=runner.iter,
        epoch=runner.epoch,
        experiment_name=runner.experiment_name,
        hrnas_mm_version=__version__,
    )
    return dict(meta=meta, state_dict=state_dict)


def _save(content: dict, path: str) -> None:
    temporary = path + '.tmp'
    torch.save(content, temporary)
    os.replace(temporary, path)


def _table(runner: Runner, model: nn.Module, cost_model: CostModel) -> str:
    """Compare the searched network with the supernet it began as."""
    supernet = _build_supernet(runner)
    full = cost_model.macs(cost_model.supernet)
    now = cost_model.macs(architecture_of(model))
    table = Table(title=f'At {cost_model.input_shape}')
    for column in ('', 'supernet', 'searched'):
        table.add_column(column, justify='right')
    table.add_row('multiply-adds', f'{full / 1e9:.4f} G', f'{now / 1e9:.4f} G')
    models = [m for m in (supernet, model) if m is not None]
    params = [f'{count_params(m) / 1e6:.3f} M' for m in models]
    times = [f'{t:.1f}' for t in latency(models, cost_model.input_shape)]
    for name, cells in (('parameters', params), ('ms per image', times)):
        table.add_row(name, *['-'] * (2 - len(cells)), *cells)
    for row in _metric_rows(runner, full):
        table.add_row(*row)
    console = Console(width=78, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def _build_supernet(runner: Runner) -> nn.Module | None:
    if not isinstance(runner.cfg.get('model'), dict):
        return None
    device = next(runner.model.parameters()).device
    return build_model(runner.cfg).to(device)


def _metric_rows(runner: Runner, full: int) -> list[tuple[str, str, str]]:
    """Name, first and last value of each metric.

    The first is the supernet's own if it was evaluated before it shrank;
    otherwise it tells when it was taken.
    """
    evaluations = runner.message_hub.runtime_info.get(EVALUATIONS, [])
    if not evaluations or evaluations[-1]['iter'] != runner.iter:
        return []
    first, last = evaluations[0], evaluations[-1]
    when = '' if first['macs'] == full else f' (iteration {first["iter"]})'
    return [
        (name, f'{first["metrics"][name]:.4g}{when}', f'{value:.4g}')
        for name, value in last['metrics'].items()
        if isinstance(value, (int, float))
    ]
