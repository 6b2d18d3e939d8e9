"""Load a few samples as a config does, before it is written."""

import io
import os.path as osp
from collections.abc import Callable
from contextlib import redirect_stdout
from tempfile import TemporaryDirectory

from hrnas_mm.check_pairs import check_pairs
from hrnas_mm.cli.config import prepare_config

from .writing import Draft, write


def try_loading(draft_at: Callable[[str], Draft]) -> list[str]:
    """Load a few samples of a config, and compare images with labels.

    Args:
        draft_at: Function that drafts the config for a file.

    Returns:
        Why nothing was loaded, if its framework is not installed.

    Raises:
        ValueError: See :func:`hrnas_mm.check_pairs.check_pairs`.
    """
    with TemporaryDirectory() as folder:
        path = osp.join(folder, 'config.py')
        write(draft_at(path), path)
        try:
            with redirect_stdout(io.StringIO()):  # of pycocotools
                cfg = prepare_config(path)
                for loader in ('train_dataloader', 'val_dataloader'):
                    check_pairs(cfg, loader)
        except ModuleNotFoundError as error:
            return [f'No sample was loaded with this config: {error}.']
    return []
