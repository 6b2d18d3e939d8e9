# The demo of segmentation: a search on generated street scenes that takes
# minutes on two CPU cores.
#
#   make demo
_base_ = [
    '../_base_/models/hrnas_seg.py',
    '../_base_/datasets/demo_cityscapes.py',
    '../_base_/schedules/cpu_1200.py',
    'mmseg::_base_/default_runtime.py',
    '../_base_/ema.py',
]
norm_cfg = dict(type='SyncBN', momentum=0.1, eps=1e-5)
model = dict(
    data_preprocessor=dict(size=(128, 256)),
    backbone=dict(
        stem_channels=(16, 16),
        stages=(
            dict(num_blocks=(1,), num_channels=(12,)),
            dict(num_blocks=(1, 1), num_channels=(8, 16)),
            dict(num_blocks=(1, 1, 1), num_channels=(8, 16, 32)),
        ),
        expand_ratio=2,
        num_tokens=8,
        fuse_channels=24,
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(in_channels=24, channels=24),
)

# 20 iterations without shrinking, 200 with it, 80 on the fixed network.
max_iters = 300
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(
        type='PolyLR',
        power=0.9,
        eta_min=1e-5,
        begin=20,
        end=max_iters,
        by_epoch=False,
    ),
]
train_cfg = dict(max_iters=max_iters, val_interval=100)
custom_hooks = [
    _base_.ema_of_a_short_run,
    dict(
        type='ProgressiveShrinkHook',
        target=0.35,
        begin=20,
        interval=20,
        end=220,
        threshold=1e-2,
    ),
]
