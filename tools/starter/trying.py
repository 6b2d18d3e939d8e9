"""Load a few samples and train a step, before a config is written."""

import io
import os.path as osp
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from tempfile import TemporaryDirectory

from mmengine.config import Config
from torch import nn
from training.rehearsal import time_step

from hrnas_mm.building import build_model
from hrnas_mm.check_pairs import check_pairs
from hrnas_mm.cli.config import prepare_config
from hrnas_mm.deploy import cost_model_of
from hrnas_mm.report.page import duration
from hrnas_mm.search import parse_budget
from hrnas_mm.search_in_config import search_hooks, search_shape
from hrnas_mm.spelling import counted

from .writing import Draft, write


def try_out(draft_at: Callable[[str], Draft]) -> list[str]:
    """Load a few samples of a config, and count and time its supernet.

    Args:
        draft_at: Function that drafts the config for a file.

    Returns:
        What the target amounts to and how long a run will take, or why
        nothing was tried, in sentences.

    Raises:
        ValueError: If images and labels do not fit (see
            :func:`hrnas_mm.check_pairs.check_pairs`), or if no network of
            the supernet meets the target.
    """
    with TemporaryDirectory() as folder:
        path = osp.join(folder, 'config.py')
        write(draft_at(path), path)
        try:
            # pycocotools prints, and mmseg warns of a config as its own.
            with redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter('ignore')
                cfg = prepare_config(path)
                for loader in ('train_dataloader', 'val_dataloader'):
                    check_pairs(cfg, loader)
                model = build_model(cfg)
                costs = cost_model_of(model, search_shape(cfg))
        except ModuleNotFoundError as error:
            return [f'Nothing was tried of this config: {error}.']
        (hook,) = search_hooks(cfg)
        budget = parse_budget(hook.target, costs, '--target')
        whole = budget.cost.format(costs.total(costs.supernet))
        noun = budget.cost.noun
        return [
            f'The whole network has {whole} {noun}, the target is {budget}.',
            _length(cfg, model),
        ]


def _length(cfg: Config, model: nn.Module) -> str:
    """Make a training step, and say how long a run will take."""
    try:
        seconds, steps = time_step(cfg, model)
    except ValueError as error:
        return f'A training step was tried. {error}.'
    return (
        f'About {duration(seconds * steps)} for {counted(steps, "iteration")} '
        f'on this machine, without evaluations: {seconds:.2g} s for one at '
        'first; the search makes them shorter.'
    )
