"""Stock backbones and necks from configs, whose channels are searched."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from hrnas_mm.search import (
    apply_architecture_,
    architecture_of,
    named_search_units,
    shrink_,
)

BN = dict(type='BN', requires_grad=True)
RESNET = dict(
    type='mmseg.ResNetV1c',
    depth=18,
    base_channels=8,
    stem_channels=8,
    out_indices=(0, 3),
    norm_cfg=BN,
)
CSP = dict(
    type='mmdet.CSPDarknet',
    deepen_factor=0.33,
    widen_factor=0.125,
    norm_cfg=BN,
)


def build(config: dict[str, Any]) -> Any:
    framework = config.get('module', config)['type'].split('.')[0]
    pytest.importorskip(framework)
    with DefaultScope.overwrite_default_scope(framework):
        return MODELS.build(config)


def searchable(module: dict[str, Any], **options: Any) -> Any:
    return build(dict(type='Searchable', module=module, **options))


def maps(model: nn.Module, x: Any) -> list[Tensor]:
    model.eval()
    with torch.no_grad():
        return tree_leaves(model(x))


def test_is_the_stock_backbone() -> None:
    stock, model = build(RESNET), searchable(RESNET)
    assert isinstance(model, type(stock))
    assert type(model).__name__ == 'ResNetV1c'
    assert list(model.state_dict()) == list(stock.state_dict())
    model.load_state_dict(stock.state_dict())
    x = torch.randn(2, 3, 64, 96)
    for one, other in zip(maps(model, x), maps(stock, x), strict=True):
        assert torch.equal(one, other)
    units = named_search_units(model)
    assert units['layer2.0.conv1'].kind == 'k3'
    # All inner widths of its 8 blocks, and two of its stem.
    assert len(units) == 10


def test_what_is_said_of_the_choice() -> None:
    blocks, every = searchable(CSP), searchable(CSP, widths='all')
    assert len(named_search_units(every)) > len(named_search_units(blocks))
    assert str(blocks.selection).startswith(
        "a search can remove 73% of its multiply-adds, with widths='all' 97%; "
    )
    reasons = blocks.selection.reasons
    assert reasons['stage1.1.main_conv.conv'] == 'several layers add up to it'
    assert reasons['stage4.2.final_conv.conv'] == 'it is an output'
    assert 'stage1.1.main_conv.conv' not in every.selection.reasons


@pytest.mark.parametrize('widths', ['blocks', 'all'])
def test_checkpoint_and_architecture_rebuild_it(
    widths: str, tmp_path: Path
) -> None:
    model = searchable(CSP, widths=widths)
    units = named_search_units(model)
    shrink_(model, {n: torch.arange(0, len(u), 3) for n, u in units.items()})
    x = torch.randn(1, 3, 64, 64)
    path = tmp_path / 'shrunk.pth'
    torch.save(model.state_dict(), path)
    weights = dict(type='Pretrained', checkpoint=str(path))
    by_arch = searchable(CSP, widths=widths, arch=architecture_of(model))
    by_shapes = searchable(CSP, widths=widths)
    by_weights = searchable({**CSP, 'init_cfg': weights}, widths=widths)
    by_path = searchable(CSP, widths=widths, pretrained=str(path))
    for again in (by_arch, by_shapes):
        again.load_state_dict(model.state_dict())
    for again in (by_weights, by_path):
        assert architecture_of(again) == architecture_of(model)
        again.init_weights()
    for again in (by_arch, by_shapes, by_weights, by_path):
        for one, other in zip(maps(again, x), maps(model, x), strict=True):
            assert torch.equal(one, other)


def test_stock_weights_are_taken_whole(tmp_path: Path) -> None:
    stock = build(RESNET)
    torch.save(stock.state_dict(), tmp_path / 'stock.pth')
    model = searchable(RESNET, pretrained=str(tmp_path / 'stock.pth'))
    model.init_weights()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, stock.state_dict()[name])


def test_whole_weights_are_narrowed_to_an_architecture(tmp_path: Path) -> None:
    whole = searchable(RESNET)
    units = named_search_units(whole)
    for unit in units.values():
        for scale, shift in zip(unit.scales, unit.shifts, strict=True):
            nn.init.uniform_(scale.data, 0.5, 1.5)
            nn.init.uniform_(shift.data, -0.5, 0.5)
    torch.save(whole.state_dict(), tmp_path / 'whole.pth')
    arch = {name: len(unit) // 2 for name, unit in units.items()}
    weights = dict(type='Pretrained', checkpoint=str(tmp_path / 'whole.pth'))
    narrow = searchable({**RESNET, 'init_cfg': weights}, arch=arch)
    narrow.init_weights()
    best = {
        name: unit.alpha.argsort(descending=True)[: arch[name]].sort().values
        for name, unit in units.items()
    }
    shrink_(whole, best)
    for name, tensor in narrow.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[name])
    # As a checkpoint of this network they are refused, as others are.
    narrow = searchable(RESNET, arch=arch)
    with pytest.raises(RuntimeError, match='size mismatch'):
        narrow.load_state_dict(torch.load(tmp_path / 'whole.pth'))
    other = searchable({**RESNET, 'base_channels': 16})
    with pytest.raises(RuntimeError, match='size mismatch'):
        narrow.load_state_dict(other.state_dict())


def test_an_empty_block_takes_its_shift_from_whole_weights(
    tmp_path: Path,
) -> None:
    whole, x = searchable(RESNET), torch.randn(1, 3, 64, 64)
    units = named_search_units(whole)
    unit = units['layer1.1.conv1']
    for scale, shift in zip(unit.scales, unit.shifts, strict=True):
        nn.init.zeros_(scale.data)
        nn.init.uniform_(shift.data, 0.5, 1.0)
    torch.save(whole.state_dict(), tmp_path / 'whole.pth')
    weights = dict(type='Pretrained', checkpoint=str(tmp_path / 'whole.pth'))
    arch = {name: len(unit) for name, unit in units.items()}
    arch['layer1.1.conv1'] = 0
    net = searchable({**RESNET, 'init_cfg': weights}, arch=arch)
    net.init_weights()
    shrink_(whole, {'layer1.1.conv1': torch.arange(0)})
    for model in (net, whole):
        model.eval()
    torch.testing.assert_close(net(x)[0], whole(x)[0])
    assert 'layer1.1.bn2.bias' in net.state_dict()
    assert 'layer1.1.conv2.weight' not in net.state_dict()


def test_frozen_stages_stay() -> None:
    model = searchable({**RESNET, 'frozen_stages': 2, 'norm_eval': True})
    units = named_search_units(model)
    assert not any(name.startswith(('stem', 'layer1')) for name in units)
    assert 'layer3.0.conv1' in units
    assert 'is frozen' in model.selection.reasons['layer2.0.conv1']


def test_transformers_come_along() -> None:
    plugged = dict(
        type='with_transformers',
        backbone={**RESNET, 'type': 'mmseg.ResNet'},
        block='BasicBlock',
        num_tokens=4,
    )
    inside = dict(type='Searchable', module={**RESNET, 'type': 'mmseg.ResNet'})
    for config in (
        dict(type='Searchable', module=plugged),
        {**plugged, 'backbone': inside},
    ):
        pytest.importorskip('mmseg')
        with DefaultScope.overwrite_default_scope('mmseg'):
            model: Any = MODELS.build(config)
        units = named_search_units(model)
        assert len(units['layer1.0.transformer.tokens']) == 4
        assert len(units['layer1.0.conv1']) == 8
        counts = {
            name: 0 if unit.kind == 'tokens' else 2
            for name, unit in units.items()
        }
        apply_architecture_(model, counts)
        assert len(maps(model, torch.randn(1, 3, 64, 64))) == 2


def test_necks_that_say_their_channels() -> None:
    neck = dict(
        type='mmdet.YOLOXPAFPN',
        in_channels=[16, 32, 64],
        out_channels=16,
        num_csp_blocks=1,
        norm_cfg=BN,
    )
    x = tuple(torch.randn(1, 16 << i, 32 >> i, 32 >> i) for i in range(3))
    for widths in ('blocks', 'all'):
        model = searchable(neck, widths=widths)
        counts = dict.fromkeys(named_search_units(model), 1)
        assert len(counts) > 10
        apply_architecture_(model, counts)
        assert [y.shape[1] for y in maps(model, x)] == [16] * 3
    pytest.importorskip('mmdet3d')
    with pytest.raises(ValueError, match='deblocks.0.0: it is an output'):
        searchable(
            dict(
                type='mmdet3d.SECONDFPN',
                in_channels=[16, 32],
                out_channels=[16, 16],
                upsample_strides=[1, 2],
            )
        )


@pytest.mark.parametrize(
    'module, options, error',
    [
        (RESNET, dict(widths='some'), "widths must be one of .* got 'some'"),
        (
            {**RESNET, 'norm_cfg': dict(type='GN', num_groups=2)},
            {},
            'no channels to search .*: operator native_group_norm reads it',
        ),
        (
            dict(type='mmpretrain.RepVGG', arch='A0'),
            {},
            "with widths='blocks'; widths='all' could remove 100%",
        ),
        (
            dict(type='mmpretrain.ConvNeXt', arch='atto'),
            dict(widths='all'),
            'native_layer_norm reads it',
        ),
        (
            dict(type='Searchable', module=RESNET),
            {},
            'its module has units of its own',
        ),
        (
            dict(
                type='mmseg.FCNHead', in_channels=8, channels=4, num_classes=2
            ),
            {},
            'module must be a backbone that is called with one image',
        ),
    ],
)
def test_refusals_give_the_reason(
    module: dict[str, Any], options: dict[str, Any], error: str
) -> None:
    framework = module['type'].split('.')[0].replace('Searchable', 'mmseg')
    pytest.importorskip(framework)
    config = dict(type='Searchable', module=module, **options)
    with (
        DefaultScope.overwrite_default_scope(framework),
        pytest.raises(ValueError, match=error),
    ):
        MODELS.build(config)
