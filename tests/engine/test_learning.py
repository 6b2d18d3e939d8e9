"""A search that would learn nothing is refused: the penalty alone trains."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from mmengine.runner import Runner
from torch import nn

from hrnas_mm.engine.learning import learns
from hrnas_mm.search import named_search_units


@pytest.mark.parametrize('begin', [0, 2])
@pytest.mark.parametrize(
    'losses, message',
    [
        (
            lambda loss: dict(ce=loss),
            'names of the losses of the model must contain .loss., got ce:',
        ),
        (
            lambda loss: dict(loss_ce=0 * loss),
            'own losses, loss_ce, must depend .* only the penalty would train',
        ),
    ],
)
def test_losses_that_teach_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    begin: int,
    losses: Any,
    message: str,
) -> None:
    forward = tiny.TinyModel.forward

    def other_losses(self: Any, *args: Any, **options: Any) -> Any:
        outputs = forward(self, *args, **options)
        lost = isinstance(outputs, dict)
        return losses(outputs['loss_ce']) if lost else outputs

    monkeypatch.setattr(tiny.TinyModel, 'forward', other_losses)
    with pytest.raises(ValueError, match=message):
        Runner.from_cfg(tiny.config(tmp_path, begin=begin)).train()
    assert not (tmp_path / 'searched').exists()


def test_a_first_batch_may_teach_nothing(tmp_path: Path) -> None:
    """All its pixels may be ignored."""
    runner = Runner.from_cfg(tiny.config(tmp_path, max_iters=4))
    parse = runner.model.parse_losses
    called: list[Any] = []

    def parse_losses(losses: Any) -> Any:
        called.append(losses)
        loss, log = parse(losses)
        return loss * (len(called) > 2), log

    runner.model.parse_losses = parse_losses
    runner.train()
    assert runner.iter == 4


def test_the_penaltys_gradients_do_not_count() -> None:
    model = tiny.supernet()
    for unit in named_search_units(model).values():
        unit.alpha.grad = torch.ones_like(unit.alpha)
    assert not learns(model)
    weight: Any = model.stem[0].conv.weight
    weight.grad = torch.zeros_like(weight)
    assert not learns(model)
    weight.grad[0] = 1
    assert learns(model)
    assert not learns(nn.Linear(2, 2))
