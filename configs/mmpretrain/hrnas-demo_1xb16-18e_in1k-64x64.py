# The demo of classification: a search on generated shapes of ten classes
# that takes minutes on two CPU cores.
#
#   make demo-cls
_base_ = [
    'hrnas-a_8xb64-350e_in1k.py',
    '../_base_/models/hrnas_small.py',
]
data_root = 'data/demo_imagenet'
norm_cfg = dict(type='SyncBN', momentum=0.1, eps=1e-5)
model = dict(
    backbone=dict(
        **_base_.small,
        norm_cfg=norm_cfg,
    ),
    neck=[
        dict(
            type='HRNASFuseScales',
            in_channels=(12, 24, 48),
            mid_channels=(16, 32, 64),
            out_channels=256,
            expand_ratio=2,
            num_tokens=8,
            norm_cfg=norm_cfg,
        ),
        dict(type='GlobalAveragePooling'),
    ],
    head=dict(in_channels=256, num_classes=10),
)
data_preprocessor = dict(num_classes=10)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=64, crop_ratio_range=(0.6, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=64, edge='short'),
    dict(type='CenterCrop', crop_size=64),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=2, dataset=dict(data_root=data_root, pipeline=test_pipeline)
)
test_dataloader = val_dataloader
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=4e-3, weight_decay=1e-4)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=30, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=30, by_epoch=False),
]
# 4 epochs without shrinking, 9 with it, 5 on the fixed network.
train_cfg = dict(max_epochs=18, val_interval=3)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=3, max_keep_ckpts=2)
)
custom_hooks = [
    _base_.ema_of_a_short_run,
    dict(
        type='ProgressiveShrinkHook',
        target=0.35,
        threshold=1e-2,
        begin=4,
        interval=1,
        end=13,
        by_epoch=True,
        input_shape=(64, 64),
    ),
]
randomness = dict(seed=0)
