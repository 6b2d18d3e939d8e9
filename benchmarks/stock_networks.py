"""Stock backbones of five frameworks and timm, to try searches in."""

from collections.abc import Mapping
from typing import Any, NamedTuple

BN = dict(type='BN')
SILU = dict(type='SiLU', inplace=True)
SMALL, LARGE = 64, 128


class Stock(NamedTuple):
    """A backbone, and the share of its multiply-adds that can go.

    Attributes:
        config: Its config; the framework is the scope of its type.
        blocks, all: Least share for each choice of ``widths``, 0 where there
            is nothing to search.
        size: Side of the image that it is tried with.
        channels: Channels of this image.
    """

    config: Mapping[str, Any]
    blocks: float
    all: float
    size: int = SMALL
    channels: int = 3


def hrnet(*widths: int, **last: Any) -> dict[str, Any]:
    """Return the stages of an HRNet."""
    stages: dict[str, Any] = dict(
        stage1=dict(
            num_modules=1,
            num_branches=1,
            block='BOTTLENECK',
            num_blocks=(4,),
            num_channels=(64,),
        )
    )
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        stages[f'stage{stage}'] = dict(
            num_modules=modules,
            num_branches=stage,
            block='BASIC',
            num_blocks=(4,) * stage,
            num_channels=widths[:stage],
        )
    stages['stage4'].update(last)
    return stages


def lite_hrnet() -> dict[str, Any]:
    """Return the stages of LiteHRNet-18."""
    widths = ((40, 80), (40, 80, 160), (40, 80, 160, 320))
    return dict(
        stem=dict(stem_channels=32, out_channels=32, expand_ratio=1),
        num_stages=3,
        stages_spec=dict(
            num_modules=(2, 4, 2),
            num_branches=(2, 3, 4),
            num_blocks=(2, 2, 2),
            module_type=('LITE',) * 3,
            with_fuse=(True,) * 3,
            reduce_ratios=(8, 8, 8),
            num_channels=widths,
        ),
        with_head=True,
    )


def timm(name: str, framework: str = 'mmpretrain', **options: Any) -> dict:
    """Return the config of a backbone from timm."""
    return dict(
        type=f'{framework}.TIMMBackbone',
        model_name=name,
        features_only=True,
        pretrained=False,
        **options,
    )


STDC = dict(
    type='mmseg.STDCNet',
    stdc_type='STDCNet1',
    in_channels=3,
    channels=(32, 64, 256, 512, 1024),
    bottleneck_type='cat',
    num_convs=4,
    norm_cfg=BN,
    act_cfg=dict(type='ReLU'),
    with_final_conv=False,
)
CSPNEXT = dict(
    arch='P5',
    expand_ratio=0.5,
    deepen_factor=0.33,
    widen_factor=0.5,
    channel_attention=True,
    norm_cfg=BN,
    act_cfg=SILU,
)
ALL_STAGES = dict(num_stages=4, out_indices=(0, 1, 2, 3), norm_cfg=BN)

STOCK: dict[str, Stock] = {
    'ResNet-50, mmdet': Stock(
        dict(type='mmdet.ResNet', depth=50, norm_cfg=BN, norm_eval=False),
        0.88,
        0.92,
    ),
    'ResNetV1c-18, mmseg': Stock(
        dict(type='mmseg.ResNetV1c', depth=18, **ALL_STAGES), 0.97, 0.97
    ),
    'ResNetV1c-50 d8, mmseg': Stock(
        dict(
            type='mmseg.ResNetV1c',
            depth=50,
            dilations=(1, 1, 2, 4),
            strides=(1, 2, 1, 1),
            **ALL_STAGES,
        ),
        0.87,
        0.87,
    ),
    'HRNet-W18, mmseg': Stock(
        dict(type='mmseg.HRNet', norm_cfg=BN, extra=hrnet(18, 36, 72, 144)),
        0.83,
        0.94,
    ),
    'HRNet-W32, mmpose': Stock(
        dict(
            type='mmpose.HRNet',
            in_channels=3,
            extra=hrnet(32, 64, 128, 256, multiscale_output=False),
        ),
        0.88,
        0.99,
    ),
    'MobileNetV2 d8, mmseg': Stock(
        dict(
            type='mmseg.MobileNetV2',
            strides=(1, 2, 2, 1, 1, 1, 1),
            dilations=(1, 1, 1, 2, 2, 4, 4),
            out_indices=(1, 2, 4, 6),
        ),
        0.98,
        0.99,
    ),
    'MobileNetV3-L, mmseg': Stock(
        dict(type='mmseg.MobileNetV3', arch='large', out_indices=(1, 3, 16)),
        0.88,
        0.98,
    ),
    'DDRNet-23-slim, mmseg': Stock(
        dict(
            type='mmseg.DDRNet',
            in_channels=3,
            channels=32,
            ppm_channels=128,
            norm_cfg=BN,
        ),
        0.93,
        0.97,
        LARGE,
    ),
    'PIDNet-S, mmseg': Stock(
        dict(
            type='mmseg.PIDNet',
            in_channels=3,
            channels=32,
            ppm_channels=96,
            num_stem_blocks=2,
            num_branch_blocks=3,
            norm_cfg=BN,
        ),
        0.91,
        0.94,
        LARGE,
    ),
    'STDC1, mmseg': Stock(STDC, 0.36, 0.68),
    'STDC1 with its context path, mmseg': Stock(
        dict(
            type='mmseg.STDCContextPathNet',
            backbone_cfg=STDC,
            last_in_channels=(1024, 512),
            out_channels=128,
            ffm_cfg=dict(in_channels=384, out_channels=256, scale_factor=4),
        ),
        0.32,
        0.76,
    ),
    'BiSeNetV2, mmseg': Stock(
        dict(type='mmseg.BiSeNetV2', norm_cfg=BN), 0.79, 0.84, LARGE
    ),
    'FastSCNN, mmseg': Stock(
        dict(type='mmseg.FastSCNN', norm_cfg=BN, fusion_out_channels=128),
        0.80,
        0.85,
        LARGE,
    ),
    'UNet, mmseg': Stock(
        dict(
            type='mmseg.UNet',
            norm_cfg=BN,
            upsample_cfg=dict(type='mmseg.InterpConv'),
        ),
        0.94,
        0.99,
    ),
    'ResNeSt-50, mmseg': Stock(
        dict(
            type='mmseg.ResNeSt',
            depth=50,
            norm_cfg=BN,
            stem_channels=64,
            radix=2,
            reduction_factor=4,
            avg_down_stride=True,
        ),
        0.06,
        0.08,
    ),
    'MiT-B0, mmseg': Stock(
        dict(
            type='mmseg.MixVisionTransformer',
            embed_dims=32,
            num_heads=[1, 2, 5, 8],
            num_layers=[2, 2, 2, 2],
        ),
        0,
        0,
    ),
    'ResNeXt-50, mmdet': Stock(
        dict(
            type='mmdet.ResNeXt',
            depth=50,
            groups=32,
            base_width=4,
            norm_cfg=BN,
        ),
        0.04,
        0.04,
    ),
    'Res2Net-101, mmdet': Stock(
        dict(type='mmdet.Res2Net', depth=101, scales=4, base_width=26),
        0.23,
        0.24,
    ),
    'RegNetX-400MF, mmdet': Stock(
        dict(type='mmdet.RegNet', arch='regnetx_400mf'), 0.06, 0.06
    ),
    'Darknet-53, mmdet': Stock(dict(type='mmdet.Darknet'), 0.82, 0.93),
    'EfficientNet-B0, mmdet': Stock(
        dict(type='mmdet.EfficientNet', arch='b0', out_indices=(3, 4, 5)),
        0.94,
        0.99,
    ),
    'CSPDarknet-s (YOLOX), mmdet': Stock(
        dict(type='mmdet.CSPDarknet', deepen_factor=0.33, widen_factor=0.5),
        0.89,
        0.99,
    ),
    'CSPNeXt-s (RTMDet), mmdet': Stock(
        dict(type='mmdet.CSPNeXt', **CSPNEXT), 0.95, 0.99
    ),
    'CSPNeXt-s (RTMPose), mmpose': Stock(
        dict(type='mmpose.CSPNeXt', out_indices=(4,), **CSPNEXT), 0.95, 0.99
    ),
    'LiteHRNet-18, mmpose': Stock(
        dict(type='mmpose.LiteHRNet', in_channels=3, extra=lite_hrnet()),
        0.20,
        0.26,
    ),
    'ShuffleNetV2, mmpose': Stock(
        dict(type='mmpose.ShuffleNetV2', widen_factor=1.0), 0.72, 0.78
    ),
    # Its smallest maps have a 128th of the size, and norms need some pixels.
    'Hourglass, mmpose': Stock(
        dict(type='mmpose.HourglassNet', num_stacks=1), 0.90, 0.99, 2 * LARGE
    ),
    'ResNet-18, mmpretrain': Stock(
        dict(type='mmpretrain.ResNet', depth=18), 0.91, 0.99
    ),
    'SEResNet-50, mmpretrain': Stock(
        dict(type='mmpretrain.SEResNet', depth=50), 0.87, 0.99
    ),
    'VGG-16, mmpretrain': Stock(
        dict(type='mmpretrain.VGG', depth=16, norm_cfg=BN), 0.99, 0.99
    ),
    'RepVGG-A0, mmpretrain': Stock(
        dict(type='mmpretrain.RepVGG', arch='A0'), 0, 0.99
    ),
    'MobileOne-S0, mmpretrain': Stock(
        dict(type='mmpretrain.MobileOne', arch='s0'), 0, 0.99
    ),
    'DenseNet-121, mmpretrain': Stock(
        dict(type='mmpretrain.DenseNet', arch='121'), 0.84, 0.84
    ),
    'ShuffleNetV1, mmpretrain': Stock(
        dict(type='mmpretrain.ShuffleNetV1', groups=3), 0, 0
    ),
    'InceptionV3, mmpretrain': Stock(
        dict(type='mmpretrain.InceptionV3', num_classes=10, aux_logits=False),
        0.55,
        0.99,
        LARGE,
    ),
    'CSPResNet-50, mmpretrain': Stock(
        dict(type='mmpretrain.CSPResNet', depth=50), 0.88, 0.98
    ),
    'ConvNeXt-T, mmpretrain': Stock(
        dict(type='mmpretrain.ConvNeXt', arch='tiny'), 0, 0
    ),
    'SECOND, mmdet3d': Stock(
        dict(
            type='mmdet3d.SECOND',
            in_channels=64,
            layer_nums=[3, 5, 5],
            layer_strides=[2, 2, 2],
            out_channels=[64, 128, 256],
        ),
        0.99,
        0.99,
        channels=64,
    ),
    'EfficientNet-Lite0, timm': Stock(
        timm('tf_efficientnet_lite0', out_indices=(1, 2, 3, 4)), 0.94, 0.99
    ),
    'ResNet-18, timm in mmseg': Stock(timm('resnet18', 'mmseg'), 0.91, 0.91),
    'MobileNetV3-L, timm': Stock(timm('mobilenetv3_large_100'), 0.91, 0.95),
    'MobileNetV4-S, timm': Stock(timm('mobilenetv4_conv_small'), 0.89, 0.92),
    'DLA-34, timm': Stock(timm('dla34'), 0.82, 0.98),
    'HRNet-W18-small, timm': Stock(timm('hrnet_w18_small'), 0.60, 0.96),
    'CSPDarknet-53, timm': Stock(timm('cspdarknet53'), 0.95, 0.95),
    'EfficientNet-B0, timm': Stock(timm('efficientnet_b0'), 0.94, 0.99),
    'GhostNet, timm': Stock(timm('ghostnet_100'), 0, 0.49),
    'RegNetY-400MF, timm': Stock(timm('regnety_004'), 0, 0),
}
