# DDRNet-23-slim, a stock network to compare the CamVid search with.
#
#   python tools/train.py configs/mmseg/camvid/ddrnet-23-slim_1xb8-1200_camvid-192x256.py
_base_ = '../../_base_/camvid_stock.py'
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
# The best of 2e-3, 4e-3 and 8e-3 on val.
optim_wrapper = dict(optimizer=dict(lr=2e-3))
