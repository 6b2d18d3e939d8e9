"""Samples are loaded as a config does, before it is written."""

import re
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import own_data
import pytest
from starter import config_for, detect, try_out, trying
from starter.writing import Draft


def test_samples_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the look did not see is seen: here, what came after it."""
    pytest.importorskip('mmseg')
    root = str(tmp_path)
    own_data.label_maps(tmp_path)
    draft_at = partial(config_for, detect(root), root, size=(64, 64))

    def small(path: str, **wanted: Any) -> Draft:
        draft = draft_at(path, **wanted)
        return draft._replace(text=own_data.smaller(draft.text))

    note, length = try_out(small)
    assert re.match(
        r'About [\d.]+ \w+ for \d+ iterations on .*: [\d.]+ s', length
    )
    whole, target = map(float, re.findall(r'([\d.]+) G', note))
    assert target == pytest.approx(whole / 4, rel=1e-3)
    step = Mock(side_effect=ValueError('model.x fails: why'))
    monkeypatch.setattr(trying, 'time_step', step)
    assert (
        try_out(small)[1] == 'A training step was tried. model.x fails: why.'
    )
    with pytest.raises(ValueError, match='--target must be at least .*G'):
        try_out(partial(small, target='9'))
    path = tmp_path / 'masks/val/0_ids.png'
    own_data.write(path, np.full_like(own_data.cv2.imread(str(path), 0), 7))
    with pytest.raises(ValueError, match='val_dataloader.*0_ids.png.* got 7'):
        try_out(small)


def test_a_framework_that_is_missing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare_config(path: str) -> None:
        raise ModuleNotFoundError('mmseg is not installed: pip install it')

    monkeypatch.setattr(trying, 'prepare_config', prepare_config)
    own_data.label_maps(tmp_path)
    draft_at = partial(config_for, detect(str(tmp_path)), str(tmp_path))
    (note,) = try_out(draft_at)
    assert note.endswith('mmseg is not installed: pip install it.')
