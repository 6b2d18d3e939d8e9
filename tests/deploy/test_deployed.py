"""The deployed form: the same function, in float64, for every option."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytest
import tiny
import torch
from counting import random_keep
from mmcv.cnn import ConvModule
from pairwise import pairwise
from tiny import with_statistics
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hrnas_mm.deploy import DeployableModel
from hrnas_mm.models import HRNASFuseScales, with_transformers
from hrnas_mm.modules import (
    ConvNormAct,
    LightweightTransformer,
    SearchingBlock,
)
from hrnas_mm.modules.deployed import CONSTANTS, Sum, form_of
from hrnas_mm.modules.deployed.joining import SplitSum, rows_by_maps
from hrnas_mm.registry import MODELS
from hrnas_mm.search import named_search_units, shrink_

STAGES = (
    dict(num_blocks=(2,), num_channels=(6,)),
    dict(num_blocks=(2, 2), num_channels=(5, 8)),
    dict(num_blocks=(1, 2, 1), num_channels=(5, 8, 9)),
)
FORMS = (('never', 1), ('always', 1), ('always', 4), ('auto', 'auto'))
SIZES = ((32, 48), (40, 56), (35, 51))


def norms(model: nn.Module) -> list[_BatchNorm]:
    return [m for m in model.modules() if isinstance(m, _BatchNorm)]


def searched(model: nn.Module, share_empty: float) -> nn.Module:
    """As a search leaves it, with whole paths and blocks gone."""
    if share_empty:
        shrink_(model, random_keep(model, share_empty=share_empty))
    with_statistics(model).double().eval()
    return model


def emptied(model: nn.Module, *units: str) -> nn.Module:
    """Without any element of these units."""
    every = named_search_units(model)
    keep = {name: torch.arange(len(unit)) for name, unit in every.items()}
    shrink_(model, {**keep, **{name: keep[name][:0] for name in units}})
    return model


def check(
    model: nn.Module,
    channels: int = 3,
    sizes: Sequence[tuple[int, int]] = SIZES,
    forms: Sequence[tuple[str, Any]] = FORMS,
    left: int = 0,
) -> None:
    """Compare with the network as it was trained, which is left as it was."""
    before = deepcopy(model.state_dict())
    for fuse, round in forms:
        deployed = DeployableModel(model, 'onnxruntime', fuse, round)
        assert len(norms(deployed)) == left
        for size in sizes:
            x = torch.randn(2, channels, *size, dtype=torch.double)
            expected = model(x)
            if isinstance(expected, torch.Tensor):
                expected = (expected,)
            largest = max(out.abs().max() for out in expected)
            for images in (2, 1):  # tokens of one image are a matrix
                outputs = deployed(x[:images])
                for out, wanted in zip(outputs, expected, strict=True):
                    torch.testing.assert_close(
                        out,
                        wanted[:images],
                        rtol=0,
                        atol=1e-9 * largest.item(),
                    )
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


OPTIONS: tuple[dict[str, Any], ...] = (
    dict(),
    dict(fuse_channels=None),
    dict(fuse_channels=None, out_indices=(0,)),
    dict(fuse_channels=None, out_indices=(1, 2)),
    dict(fuse_channels=None, multi_branch=False),
    dict(fuse_channels=22),  # as many as are joined: the identity
    dict(act_cfg=dict(type='Swish'), num_tokens=0),
    dict(act_cfg=dict(type='PReLU')),
    dict(kernel_sizes=(7,), stem_channels=(4,), stem_strides=(2,)),
    dict(kernel_sizes=(9, 3, 5), expand_ratio=1.5),
)


@pytest.mark.parametrize(
    'options, share_empty, form, size',
    pairwise(OPTIONS, (0, 0.5, 0.9), FORMS, SIZES),
    ids=str,
)
def test_supernet(
    options: dict[str, Any],
    share_empty: float,
    form: tuple[str, Any],
    size: tuple[int, int],
) -> None:
    model = tiny.supernet(**{'stages': STAGES, **options})
    check(searched(model, share_empty), sizes=[size], forms=[form])


@pytest.mark.parametrize(
    'options',
    [
        dict(fuse_channels=6),
        dict(fuse_channels=11),  # groups of two channels, some of two maps
        dict(fuse_channels=22, num_tokens=0),
        dict(fuse_channels=44, transformer=dict(position_in='both')),
    ],
    ids=str,
)
@pytest.mark.parametrize('share_empty', [0, 0.6])
def test_joining_without_a_joined_map(
    options: dict[str, Any],
    share_empty: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each map is convolved at its own size, where resizing costs nothing."""
    for name, runtime in CONSTANTS.items():
        cheap = runtime._replace(resize=0, add=0)
        monkeypatch.setitem(CONSTANTS, name, cheap)
    model = searched(tiny.supernet(stages=STAGES, **options), share_empty)
    check(model, forms=FORMS[1:])
    forms = [DeployableModel(model, fuse=fuse) for fuse in ('auto', 'never')]
    split = [isinstance(form.model.fuse, SplitSum) for form in forms]
    assert split == [True, False]


def test_rows_that_read_the_same_maps() -> None:
    weight = torch.tensor(
        [
            [0, 0, 0, 0],
            [1, 0, 0, 0],
            [1, 0, 0, 2],
            [0, 0, 0, 0],
            [3, 1, 1, 0],
            [0, 0, 1, 0],
        ]
    )
    assert rows_by_maps(weight, (2, 2)) == [
        (0, 2, (0,)),
        (2, 5, (0, 1)),
        (5, 6, (1,)),
    ]


@pytest.mark.parametrize(
    'options',
    [
        dict(head_dims=16),
        dict(head_dims=8, num_heads=2),
        dict(head_dims=2, num_heads=3),  # not worth folding
        dict(num_tokens=1),
        dict(num_tokens=40),
        dict(token_size=3),
        dict(stride=2, out_channels=5),
        *(
            dict(position=position, position_in=where)
            for position in ('map2d', 'sinusoidal', 'learned', 'none')
            for where in ('encoder', 'both')
        ),
    ],
    ids=str,
)
def test_transformer(options: dict[str, Any]) -> None:
    options = {'num_tokens': 3, 'token_size': 4, 'ffn_dims': 8, **options}
    model = searched(LightweightTransformer(6, **options), 0)
    check(model, 6, sizes=((16, 24), (20, 12), (4, 3), (7, 9), (1, 2)))
    if options['num_tokens'] > 1:
        model = LightweightTransformer(6, **options)
        shrink_(model, {'tokens': torch.tensor([1])})
        check(searched(model, 0), 6)


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('out_channels', [6, 9])
@pytest.mark.parametrize(
    'gone',
    [
        ('mixconv.k3', 'mixconv.k5'),
        ('mixconv.k5', 'transformer.tokens'),
        ('transformer.tokens',),
    ],
)
def test_emptied_parts_leave_no_addition(
    stride: int, out_channels: int, gone: tuple[str, ...]
) -> None:
    model: nn.Module = SearchingBlock(
        6,
        out_channels,
        stride,
        kernel_sizes=(3, 5),
        num_tokens=2,
        transformer=dict(token_size=4, ffn_dims=8),
    )
    model = searched(emptied(model, *gone), 0)
    check(model, 6)
    assert all(
        module.constant is None
        for module in DeployableModel(model).modules()
        if isinstance(module, Sum)
    )


def test_emptied_blocks_leave_no_addition() -> None:
    """Their constants go to what follows, or to what was before."""
    model: nn.Module = tiny.supernet(stages=STAGES)
    every = named_search_units(model)
    gone = [
        name
        for name in every
        if 'branches' in name or 'stages.2.fusion.fuse.0.0' in name
    ]
    model = searched(emptied(model, *gone), 0)
    check(model)
    deployed: Any = DeployableModel(model).model
    blocks = [m for s in deployed.stages for m in s.branches.modules()]
    assert not any(isinstance(m, (nn.Conv2d, Sum)) for m in blocks)
    assert all(
        module.constant is None
        for module in deployed.modules()
        if isinstance(module, Sum)
    )


def test_whole_part_emptied_alone() -> None:
    """A part that stands alone puts out its constant."""
    block = SearchingBlock(
        6, 6, kernel_sizes=(3,), num_tokens=2, transformer=dict(ffn_dims=8)
    )
    form = form_of('torch', 'auto', 'auto', {})
    x = torch.randn(1, 6, 5, 5, dtype=torch.double)
    for name, gone in (
        ('mixconv', 'mixconv.k3'),
        ('transformer', 'transformer.tokens'),
    ):
        part: Any = searched(emptied(deepcopy(block), gone), 0)
        part = part.get_submodule(name)
        alone = deepcopy(part).deployed(form)
        torch.testing.assert_close(alone(x), part(x))


def test_a_block_in_two_places() -> None:
    block = SearchingBlock(6, 6, num_tokens=2, transformer=dict(ffn_dims=8))
    check(searched(nn.Sequential(block, nn.ReLU(), block), 0), 6)


def test_neck_of_classification() -> None:
    neck = HRNASFuseScales((4, 6), (6, 8), 10, num_tokens=2, token_size=4)
    model = nn.Sequential(
        tiny.supernet(
            stages=(
                dict(num_blocks=(1,), num_channels=(4,)),
                dict(num_blocks=(1, 1), num_channels=(4, 6)),
            ),
            fuse_channels=None,
        ),
        neck,
    )
    check(searched(model, 0.4))


def test_transformers_in_another_backbone() -> None:
    model = with_transformers(
        dict(type='mmpretrain.ResNet', depth=18, base_channels=8),
        'BasicBlock',
        num_tokens=2,
        transformer=dict(ffn_dims=8),
    )
    model = searched(model, 0.4)
    check(model, sizes=((64, 64),), forms=(('auto', 4),))
    found = DeployableModel(model)
    assert not any(
        isinstance(module, LightweightTransformer)
        for module in found.modules()
    )


@pytest.mark.parametrize('runtime', CONSTANTS)
def test_paths_are_merged_where_it_is_faster(runtime: str) -> None:
    """A few channels are; many on a large map are not, for 7 x 7 kernels."""
    form = form_of(runtime, 'auto', 'auto', {})
    few, many = (dict.fromkeys((3, 5, 7), count) for count in (2, 500))
    assert form.groups(few, (16, 16), 48) == [[3, 5, 7]]
    assert len(form.groups(many, (16, 16), 10**5)) > 1
    # By the estimate that it was chosen with, nothing else is faster.
    for counts in (few, many, {3: 10, 5: 90, 7: 1}):
        best = form.groups(counts, (24, 48), 3072)
        for other in ([[3], [5], [7]], [[3, 5, 7]], [[3, 5], [7]]):
            taken, others = (
                sum(form._time(g, counts, (24, 48), 3072) for g in groups)
                for groups in (best, other)
            )
            assert taken <= others


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(runtime='ncnn'), r"runtime must be one of .*, got 'ncnn'"),
        (dict(fuse='all'), r"fuse must be one of .*, got 'all'"),
        (dict(round=0), r"round must be 'auto' or a positive .*, got 0"),
        (dict(round='8'), r"round must be 'auto' or a positive .*, got '8'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DeployableModel(nn.Conv2d(1, 1, 1), **options)


@pytest.mark.parametrize('groups', [2, 4])
def test_grouped_convolutions_stay_grouped(groups: int) -> None:
    conv = ConvNormAct(4, 8, 3, stride=2, groups=groups)
    check(with_statistics(nn.Sequential(conv)).double().eval(), 4)


def test_shapes_are_traced_in_the_dtype_of_the_model() -> None:
    model = tiny.supernet().eval().half()
    form = DeployableModel(model, input_shape=(3, 32, 32))
    image = torch.randn(1, 3, 32, 32).half()
    (out,) = form(image)
    assert out.dtype == torch.half and out.isfinite().all()


def test_what_is_kept_of_a_size_is_of_the_weights() -> None:
    """And can be used where gradients flow, whoever has made it."""
    first, second = (
        DeployableModel(tiny.supernet(out_indices=None).eval()) for _ in '12'
    )
    x = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        first(x)
    first.load_state_dict(second.state_dict())
    torch.testing.assert_close(first(x), second(x))
    first(x.requires_grad_())[0].sum().backward()


def test_norms_without_statistics_stay() -> None:
    """Ours say so; those of others are not folded."""
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), norm)
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(DeployableModel(model)(x), (model.eval()(x),))
    norm_cfg = dict(type='BN', track_running_stats=False)
    with pytest.raises(ValueError, match='not have track_running_stats=False'):
        DeployableModel(tiny.supernet(norm_cfg=norm_cfg))


def test_other_peoples_modules() -> None:
    """Norms are folded where it is known what they follow; others stay."""
    inside = ConvModule(4, 4, 1, norm_cfg=dict(type='BN'))
    before = ConvModule(
        4, 4, 1, norm_cfg=dict(type='BN'), order=('norm', 'act', 'conv')
    )
    following = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    # The norm follows the convolution in name only.
    apart = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4))
    parts = (inside, before, following, apart)
    model = with_statistics(nn.Sequential(*parts)).double().eval()
    image = torch.randn(2, 4, 5, 5, dtype=torch.double)
    copy = DeployableModel(model)
    torch.testing.assert_close(copy(image), (model(image),))
    assert len(norms(copy)) == 2


@pytest.mark.parametrize(
    'config, left',
    [
        (dict(type='mmpretrain.HRNet', arch='w18'), 0),
        (dict(type='mmseg.DDRNet', channels=8, ppm_channels=16), 11),
    ],
)
def test_stock_networks(config: dict[str, Any], left: int) -> None:
    """Norms before a convolution are left, as in DDRNet's pooling."""
    pytest.importorskip(config['type'].split('.')[0])
    check(
        searched(MODELS.build(config), 0),
        sizes=((64, 64),),
        forms=FORMS[:1],
        left=left,
    )
