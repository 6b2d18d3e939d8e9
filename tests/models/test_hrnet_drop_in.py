"""HRNASSupernet where configs have an HRNet, with HRNet's arguments."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from tiny import supernet
from torch import Tensor, nn

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import prepare_config
from hrnas_mm.models import HRNASSupernet
from hrnas_mm.modules import SearchingBlock

SMALL: dict[str, Any] = dict(num_tokens=0, expand_ratio=1, kernel_sizes=(3,))


def extra(*widths: int) -> dict[str, Any]:
    return dict(
        stage1=dict(num_channels=(64,), block='BOTTLENECK'),
        stage4=dict(num_channels=widths, block='BASIC', num_blocks=(4,) * 4),
    )


def changed(path: str, backbone: dict[str, Any]) -> Config:
    """Somebody's config with another backbone, and a few changes in it."""
    cfg = prepare_config(
        path, {'model.backbone.type': 'hrnas_mm.HRNASSupernet'}
    )
    cfg.model.backbone.update(backbone)
    return cfg


def first_step(cfg: Config, inputs: Tensor, samples: list[Any]) -> Any:
    model: Any = build_model(cfg).train()
    losses = model(inputs, samples, mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    # Nothing is built that does not take part: DDP needs no option.
    assert all(
        p.grad is not None
        for p in model.backbone.parameters()
        if p.requires_grad
    )
    return model


def test_extra_gives_the_widths() -> None:
    model = HRNASSupernet(extra=extra(8, 16, 24, 40), **SMALL)
    out = model(torch.randn(2, 3, 64, 64))
    assert [x.shape[1] for x in out] == [8, 16, 24, 40]
    blocks = [m for m in model.modules() if isinstance(m, SearchingBlock)]
    assert len(blocks) == 60


@pytest.mark.parametrize('wrong', [extra(8, 16), extra(), {}])
def test_extra_needs_a_width_per_branch(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='extra.stage4.num_channels must'):
        HRNASSupernet(extra=wrong, **SMALL)


@pytest.mark.parametrize(
    'weights',
    [
        dict(pretrained='open-mmlab://msra/hrnetv2_w18'),
        dict(init_cfg=dict(type='Pretrained', checkpoint='https://x/y.pth')),
    ],
)
def test_weights_of_an_hrnet_are_left_out_with_one_line(
    weights: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        model = HRNASSupernet(extra=extra(4, 4, 4, 4), **SMALL, **weights)
    assert model.init_cfg is None


def test_a_file_of_another_networks_weights_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / 'hrnet.pth')
    torch.save(nn.Conv2d(3, 3, 1).state_dict(), path)
    for key in ('pretrained', 'init_cfg'):
        value: Any = path
        if key == 'init_cfg':
            value = dict(type='Pretrained', checkpoint=path)
        with pytest.raises(ValueError, match='weights of another network'):
            HRNASSupernet(extra=extra(4, 4, 4, 4), **SMALL, **{key: value})


def test_multiscale_output_false_is_the_first_branch_of_the_whole() -> None:
    torch.manual_seed(0)
    model = supernet(fuse_channels=None, multiscale_output=False).eval()
    every = supernet(fuse_channels=None).eval()
    missing = every.load_state_dict(model.state_dict(), strict=False)
    assert missing.missing_keys and not missing.unexpected_keys
    x = torch.randn(1, 3, 32, 32)
    (out,) = model(x)
    torch.testing.assert_close(out, every(x)[0])
    with pytest.raises(ValueError, match='multiscale_output=False'):
        supernet(multiscale_output=False)


def test_zero_init_residual_starts_as_shortcuts() -> None:
    model: Any = supernet(zero_init_residual=True).train()
    block = model.stages[1].branches['0'][0]
    x = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(block(x), x)


def test_conv_cfg_must_be_plain() -> None:
    supernet(conv_cfg=dict(type='Conv2d'))
    with pytest.raises(ValueError, match='conv_cfg must be .* got .*DCN'):
        supernet(conv_cfg=dict(type='DCN'))


def test_frozen_stages_norm_eval_and_checkpointing_together() -> None:
    model: Any = supernet(
        frozen_stages=1, norm_eval=True, with_cp=True, norm_cfg=dict(type='BN')
    ).train()
    model(torch.randn(2, 3, 32, 32))[0].sum().backward()
    assert model.stem[0].conv.weight.grad is None
    assert model.fuse.mixconv.norm.weight.grad is not None


def test_mmseg_config_with_the_type_alone() -> None:
    pytest.importorskip('mmseg')
    cfg = changed('mmseg::hrnet/fcn_hr18_4xb2-40k_cityscapes-512x1024.py', {})
    init_default_scope('mmseg')
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    sample = SegDataSample(
        gt_sem_seg=PixelData(data=torch.zeros(1, 32, 32, dtype=torch.long)),
        metainfo=dict(img_shape=(32, 32)),
    )
    model = first_step(cfg, torch.randn(2, 3, 32, 32), [sample] * 2)
    assert isinstance(model.backbone, HRNASSupernet)
    assert model.backbone.init_cfg is None


def test_mmpose_config() -> None:
    pytest.importorskip('mmpose')
    cfg = changed(
        'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
        'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py',
        dict(multiscale_output=False),
    )
    init_default_scope('mmpose')
    model = build_model(cfg).train()
    heatmaps = model(torch.randn(2, 3, 64, 48), None, mode='tensor')
    assert heatmaps.shape == (2, 17, 16, 12)
    heatmaps.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_mmdet_hrfpn() -> None:
    pytest.importorskip('mmdet')
    cfg = changed(
        'mmdet::hrnet/faster-rcnn_hrnetv2p-w18-1x_coco.py',
        {},
    )
    init_default_scope('mmdet')
    backbone = MODELS.build(cfg.model.backbone)
    maps = MODELS.build(cfg.model.neck)(backbone(torch.randn(1, 3, 64, 64)))
    assert [x.shape[1:] for x in maps] == [
        (256, 16 // 2**i, 16 // 2**i) for i in range(5)
    ]
