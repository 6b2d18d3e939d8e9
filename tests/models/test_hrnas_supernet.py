"""The backbone: shapes, options, loading, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import SUPERNET, supernet
from torch import nn

from hrnas_mm.models import HRNASSupernet
from hrnas_mm.modules import SearchingBlock
from hrnas_mm.search import (
    Description,
    architecture_of,
    named_search_units,
    shrink_,
    write_architecture,
)


def shrunk(**options: Any) -> HRNASSupernet:
    model = supernet(**options)
    keep = {
        name: torch.arange(len(unit) // 2)
        for name, unit in named_search_units(model).items()
    }
    keep['fuse.mixconv.k3'] = torch.arange(0)
    keep['fuse.transformer.tokens'] = torch.arange(0)
    keep['stages.1.fusion.grow.mixconv.k3'] = torch.arange(0)
    keep['stages.1.fusion.grow.mixconv.k5'] = torch.arange(0)
    shrink_(model, keep)
    return model


def test_paper_network_has_61_blocks() -> None:
    model = HRNASSupernet(fuse_channels=90)
    assert sum(isinstance(m, SearchingBlock) for m in model.modules()) == 61
    units = named_search_units(model)
    assert len(units) == 61 * 4
    assert all(len(u) == 64 for n, u in units.items() if n.endswith('tokens'))


@pytest.mark.parametrize('size', [(64, 64), (65, 63), (37, 90)])
def test_any_input_size(size: tuple[int, int]) -> None:
    model = supernet(fuse_channels=None)
    out = model(torch.randn(1, 3, *size))
    quarter = tuple(-(-s // 4) for s in size)
    eighth = tuple(-(-s // 2) for s in quarter)
    assert [tuple(x.shape) for x in out] == [(1, 4, *quarter), (1, 8, *eighth)]
    (fused,) = supernet()(torch.randn(1, 3, *size))
    assert fused.shape == (1, 6, *quarter)


def test_out_indices_and_strides() -> None:
    model = supernet(fuse_channels=None, out_indices=(1,), stem_strides=(1, 2))
    (out,) = model(torch.randn(1, 3, 32, 32))
    assert out.shape == (1, 8, 8, 8)


def test_single_branch_is_a_chain() -> None:
    stages = (
        dict(num_blocks=(1,), num_channels=(6,)),
        dict(num_blocks=(1, 1), num_channels=(4, 8)),
        dict(num_blocks=(1, 1, 2), num_channels=(4, 8, 10)),
    )
    model = supernet(stages=stages, multi_branch=False).eval()
    image = torch.randn(2, 3, 64, 48)
    x = model.stem(image)
    for stage, source in zip(model.stages, '001'):
        fusion, (branch,) = stage.fusion, stage.branches.values()
        x = fusion.act(fusion.fuse[source][source](x))
        x = branch(x if fusion.grow is None else fusion.grow(x))
    (out,) = model(image)
    assert out.shape == (2, 6, 4, 3)
    torch.testing.assert_close(out, model.fuse([x]), rtol=1e-3, atol=1e-3)
    blocks = [m for m in model.modules() if isinstance(m, SearchingBlock)]
    assert len(blocks) == (1 + 1) + (2 + 1) + (2 + 2) + 1


def test_shrunk_weights_load_into_the_supernet() -> None:
    model, other = shrunk().eval(), supernet().eval()
    missing = other.load_state_dict(model.state_dict())
    assert not missing.missing_keys and not missing.unexpected_keys
    x = torch.randn(2, 3, 33, 32)
    torch.testing.assert_close(other(x)[0], model(x)[0], rtol=0, atol=0)
    assert architecture_of(other) == architecture_of(model)


def test_shrunk_weights_load_inside_a_model_with_mmengine() -> None:
    from mmengine.runner import load_state_dict

    model = nn.ModuleDict(dict(backbone=shrunk()))
    other = nn.ModuleDict(dict(backbone=supernet()))
    load_state_dict(other, model.state_dict(), strict=True)
    assert architecture_of(other) == architecture_of(model)


@pytest.mark.parametrize('form', ['dict', 'json', 'checkpoint', 'whole'])
def test_arch(form: str, tmp_path: Path) -> None:
    model = shrunk()
    arch: Any = architecture_of(model)
    if form == 'json':
        arch = str(tmp_path / 'a.json')
        units = {f'backbone.{k}': v for k, v in architecture_of(model).items()}
        write_architecture(arch, Description(schema=2, units=units))
    elif form == 'checkpoint':
        arch = str(tmp_path / 'a.pth')
        torch.save(model.state_dict(), arch)
    elif form == 'whole':
        arch = str(tmp_path / 'a.pth')
        whole = nn.ModuleDict(dict(backbone=model))
        torch.save(dict(state_dict=whole.state_dict()), arch)
    assert architecture_of(supernet(arch=arch)) == architecture_of(model)


def test_pretrained_shrunk_weights_shape_the_network(tmp_path: Path) -> None:
    model = shrunk()
    path = str(tmp_path / 'a.pth')
    torch.save(dict(state_dict=model.state_dict()), path)
    for option in (
        dict(pretrained=path),
        dict(init_cfg=dict(type='Pretrained', checkpoint=path)),
    ):
        other = supernet(**option)
        assert architecture_of(other) == architecture_of(model)
        other.init_weights()
        for a, b in zip(model.parameters(), other.parameters()):
            torch.testing.assert_close(a, b)


def test_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / 'a.pth')
    torch.save(nn.Conv2d(3, 3, 1).state_dict(), path)
    with pytest.raises(ValueError, match='of another network'):
        supernet(arch=path)


def test_frozen_stages_and_norm_eval() -> None:
    model = supernet(frozen_stages=1).train()
    for part, training in (
        (model.stem, False),
        (model.stages[0], False),
        (model.stages[1], True),
    ):
        assert all(p.requires_grad is training for p in part.parameters())
        assert all(m.training is training for m in part.modules())
    model = supernet(norm_eval=True).train()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert model.training and not any(m.training for m in norms)


def test_norm_cfg_reaches_every_norm() -> None:
    model = supernet(norm_cfg=dict(type='BN', eps=0.5))
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) > 20 and all(m.eps == 0.5 for m in norms)


def stages(*pairs: Any) -> list[dict[str, Any]]:
    return [dict(num_blocks=b, num_channels=c) for b, c in pairs]


@pytest.mark.parametrize(
    'options, message',
    [
        (
            dict(out_indices=(0,)),
            'out_indices and fuse_channels must not both',
        ),
        (dict(fuse_channels=None, out_indices=(2,)), 'out_indices must be'),
        (dict(multi_branch=False, out_indices=(0,)), 'multi_branch=False'),
        (dict(fuse_channels=0), 'fuse_channels must be positive, got 0'),
        (dict(num_tokens=-3), 'num_tokens must be 0 .* got -3'),
        (dict(kernel_sizes=(2,)), 'kernel_sizes must be odd'),
        (dict(stem_channels=(4,)), 'stem_channels and stem_strides'),
        (dict(stem_strides=(2, 3)), 'stem_strides must be 1 or 2'),
        (dict(frozen_stages=3), 'frozen_stages must be -1 to 2, got 3'),
        (dict(stages=[]), 'stages must not be empty'),
        (dict(stages=stages(((1,), (4, 8)))), r'stages\[0\] .* as many'),
        (dict(stages=stages(((1, 1, 1), (4, 8, 8)))), '1 or 2 branches'),
        (
            dict(stages=stages(((1, 1), (4, 8)), ((1,), (4,)))),
            r'stages\[1\] must have 2 or 3 branches',
        ),
        (dict(stages=[dict(blocks=1)]), 'num_blocks and num_channels'),
        (
            dict(
                pretrained='a',
                init_cfg=dict(type='Pretrained', checkpoint='b'),
            ),
            'must not both be given',
        ),
        (dict(norm_cfg=dict(type='GN', num_groups=1)), 'norm_cfg must be'),
        (dict(arch={'fuse.mixconv.k3': 1}), 'has no unit'),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HRNASSupernet(**{**SUPERNET, **options})


def test_wrong_number_of_input_channels() -> None:
    with pytest.raises(ValueError, match='in_channels of HRNASSupernet is 3'):
        supernet()(torch.zeros(1, 4, 32, 32))


@pytest.mark.parametrize('scope', ['mmengine', 'mmseg'])
@pytest.mark.parametrize('name', ['HRNASSupernet', 'hrnas_mm.HRNASSupernet'])
def test_builds_by_name_in_every_scope(scope: str, name: str) -> None:
    from mmengine.registry import MODELS, DefaultScope

    with DefaultScope.overwrite_default_scope(scope):
        assert isinstance(
            MODELS.build(dict(type=name, **SUPERNET)), HRNASSupernet
        )
