_base_ = [
    '../_base_/models/hrnas_seg.py',
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/camvid_1200.py',
    'mmseg::_base_/default_runtime.py',
]
norm_cfg = dict(type='SyncBN', momentum=0.1, eps=1e-5)
model = dict(
    data_preprocessor=dict(size=(192, 256)),
    backbone=dict(
        stem_channels=(16, 16),
        stages=(
            dict(num_blocks=(1,), num_channels=(16,)),
            dict(num_blocks=(1, 1), num_channels=(12, 24)),
            dict(num_blocks=(1, 1, 2), num_channels=(12, 24, 48)),
            dict(num_blocks=(1, 1, 2, 2), num_channels=(12, 24, 48, 96)),
        ),
        expand_ratio=2,
        num_tokens=16,
        fuse_channels=48,
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(in_channels=48, channels=48, num_classes=11),
)
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='MomentumAnnealingEMA',
        momentum=0.01,
        gamma=9,
        update_buffers=True,
    ),
    dict(type='ProgressiveShrinkHook', interval=50, rho=1e-3, warmup=100),
]
