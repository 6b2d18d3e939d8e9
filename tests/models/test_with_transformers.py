"""The plug-and-play Transformer inside networks that we did not write."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from counting import counted, random_keep
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from hrnas_mm.models import with_transformers
from hrnas_mm.modules import LightweightTransformer
from hrnas_mm.search import (
    CostModel,
    architecture_of,
    named_search_units,
    shrink_,
)

SHAPE = (3, 64, 96)
BACKBONES = {
    'mmpretrain.MobileNetV2': (dict(out_indices=(1, 7)), 17),
    'mmpretrain.ShuffleNetV2': (dict(out_indices=(0, 3)), 16),
    'mmseg.MobileNetV2': (dict(out_indices=(1, 6)), 17),
}


@pytest.fixture(params=BACKBONES)
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module, int]:
    """A backbone as it is, the same with Transformers, and their number."""
    framework, kind = request.param.split('.')
    pytest.importorskip(framework)
    options, blocks = BACKBONES[request.param]
    config = dict(type=kind, **options)
    with DefaultScope.overwrite_default_scope(framework):
        plain = MODELS.build(config)
        extended = with_transformers(config, num_tokens=4)
    plain.eval()  # which returns nothing here
    extended.eval()
    return plain, extended, blocks


def transformers_of(model: nn.Module) -> dict[str, Any]:
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, LightweightTransformer)
    }


def test_every_block_adds_a_transformer(
    pair: tuple[nn.Module, nn.Module, int],
) -> None:
    plain, extended, count = pair
    found = transformers_of(extended)
    assert len(found) == count
    for name, transformer in found.items():
        block = extended.get_submodule(name.removesuffix('.transformer'))
        twin = plain.get_submodule(name.removesuffix('.transformer'))
        twin.load_state_dict(block.state_dict(), strict=False)
        nn.init.uniform_(transformer.norm.weight, 0.5, 1.5)
        x = torch.randn(2, transformer.project_in.conv.in_channels - 2, 9, 7)
        torch.testing.assert_close(block(x), twin(x) + transformer(x))


def test_weights_of_the_plain_backbone_load(
    pair: tuple[nn.Module, nn.Module, int],
) -> None:
    plain, extended, _ = pair
    missing = extended.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert all('.transformer.' in name for name in missing.missing_keys)
    for transformer in transformers_of(extended).values():
        nn.init.zeros_(transformer.norm.weight)
        nn.init.zeros_(transformer.norm.bias)
    x = torch.randn(2, *SHAPE)
    for ours, theirs in zip(extended(x), plain(x)):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_transformers_train_in_a_frozen_backbone() -> None:
    """As mmdet's ResNet freezes its first stage and all its norms."""
    pytest.importorskip('mmpretrain')
    backbone = dict(
        type='ResNet', depth=18, frozen_stages=1, norm_eval=True
    )  # fmt: skip
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model: Any = with_transformers(
            backbone, block='BasicBlock', num_tokens=4
        )
    copied = copy.deepcopy(model)
    for each in (model, copied):
        each.train()
        assert not each.layer1[0].conv1.weight.requires_grad
        assert not each.layer2[0].norm1.training
        for transformer in transformers_of(each).values():
            assert all(m.training for m in transformer.modules())
            assert all(p.requires_grad for p in transformer.parameters())
    first = next(iter(transformers_of(copied).values()))
    first.project_in.conv.weight.requires_grad_(False)  # as a user may want it
    copied.train().eval()
    assert (
        not first.training and not first.project_in.conv.weight.requires_grad
    )


def test_tokens_are_search_units(
    pair: tuple[nn.Module, nn.Module, int],
) -> None:
    plain, model, count = pair
    units = named_search_units(model)
    assert len(units) == count
    assert all(name.endswith('transformer.tokens') for name in units)
    cost_model = CostModel(model, SHAPE)
    assert cost_model.total({}) == counted(plain, SHAPE)
    shrink_(model, random_keep(model))
    assert all(x.isfinite().all() for x in model(torch.randn(1, *SHAPE)))
    total = cost_model.total(architecture_of(model))
    assert total == counted(model, SHAPE)


def test_a_shrunk_networks_weights_shape_it(tmp_path: Path) -> None:
    pytest.importorskip('mmpretrain')
    config = dict(type='ShuffleNetV2')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        shrunk = with_transformers(config, num_tokens=4)
        shrink_(shrunk, random_keep(shrunk))
        file = str(tmp_path / 'shrunk.pth')
        torch.save(dict(state_dict=shrunk.state_dict()), file)
        again = with_transformers(config, num_tokens=4, arch=file)
        other = with_transformers(config, num_tokens=4)
    other.load_state_dict(shrunk.state_dict())
    assert architecture_of(again) == architecture_of(shrunk)
    assert architecture_of(other) == architecture_of(shrunk)


def test_pretrained_is_the_backbones(tmp_path: Path) -> None:
    """What mmseg does with model.pretrained."""
    pytest.importorskip('mmseg')
    config = dict(type='MobileNetV2')
    with DefaultScope.overwrite_default_scope('mmseg'):
        plain = MODELS.build(config)
        file = str(tmp_path / 'plain.pth')
        torch.save(plain.state_dict(), file)
        model: Any = with_transformers(config, num_tokens=2, pretrained=file)
    model.init_weights()
    weights = model.state_dict()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=0)


def test_images_of_one_channel() -> None:
    pytest.importorskip('mmpretrain')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = with_transformers(
            dict(type='ResNet', depth=18, in_channels=1), block='BasicBlock'
        )
    assert len(transformers_of(model)) == 8
    assert model(torch.randn(2, 1, 64, 64))


def test_unknown_block() -> None:
    pytest.importorskip('mmpretrain')
    with (
        DefaultScope.overwrite_default_scope('mmpretrain'),
        pytest.raises(ValueError, match="got 'Bottleneck'; it has .*Inverted"),
    ):
        with_transformers(dict(type='MobileNetV2'), block='Bottleneck')
