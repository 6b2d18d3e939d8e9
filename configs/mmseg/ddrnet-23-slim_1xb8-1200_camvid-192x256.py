# mmseg's DDRNet-23-slim, trained from scratch by the recipe of the CamVid search,
# at half of its learning rate: a stock network to compare with.
#
#   python tools/train.py configs/mmseg/ddrnet-23-slim_1xb8-1200_camvid-192x256.py
#
# As narrow as the searched network is cheap:
#
#   ... --cfg-options model.backbone.channels=10 model.backbone.ppm_channels=40 \
#       model.decode_head.in_channels=40 model.decode_head.channels=20
_base_ = [
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/cpu_1200.py',
    '../_base_/ema.py',
    'mmseg::_base_/default_runtime.py',
]
custom_imports = dict(imports=['hrnas_mm'])
norm_cfg = dict(type='SyncBN', momentum=0.1, eps=1e-5)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(192, 256),
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='DDRNet',
        in_channels=3,
        channels=32,
        ppm_channels=128,
        norm_cfg=norm_cfg,
        align_corners=False,
    ),
    decode_head=dict(
        type='DDRHead',
        in_channels=128,
        channels=64,
        dropout_ratio=0.0,
        num_classes=11,
        align_corners=False,
        norm_cfg=norm_cfg,
        loss_decode=[
            dict(
                type='OhemCrossEntropy',
                thres=0.9,
                min_kept=20000,
                loss_weight=weight,
            )
            for weight in (1.0, 0.4)
        ],
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
custom_hooks = [{**_base_.ema, 'momentum': 0.02}]
