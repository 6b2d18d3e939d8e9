# The demo: a search on generated street scenes, minutes on two CPU cores.
#
#   make demo
_base_ = [
    '../_base_/models/hrnas_seg.py',
    'mmseg::_base_/datasets/cityscapes.py',
    '../_base_/schedules/cpu_1200.py',
    'mmseg::_base_/default_runtime.py',
]
data_root = 'data/demo_cityscapes/'
data_help = (
    'Make it: python tools/make_demo_data.py cityscapes data/demo_cityscapes'
)
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
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=8, dataset=dict(data_root=data_root, pipeline=train_pipeline)
)
val_dataloader = dict(
    num_workers=2, dataset=dict(data_root=data_root, pipeline=test_pipeline)
)
test_dataloader = val_dataloader
optim_wrapper = dict(
    optimizer=dict(lr=4e-3),
    # Importance factors have a way to go in few iterations.
    paramwise_cfg=dict(
        custom_keys={
            'depthwise.norm.weight': dict(lr_mult=4),
            'project_in.norm.weight': dict(lr_mult=4),
        }
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(
        type='PolyLR',
        power=0.9,
        eta_min=1e-5,
        begin=20,
        end=300,
        by_epoch=False,
    ),
]
train_cfg = dict(max_iters=300, val_interval=100)
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='MomentumAnnealingEMA',
        momentum=0.02,
        gamma=9,
        update_buffers=True,
    ),
    dict(
        type='ProgressiveShrinkHook',
        rho=2e-3,
        warmup=20,
        interval=20,
        end=220,
        threshold=1e-2,
    ),
]
