# The demo of keypoints: a search on generated people that takes minutes on two
# CPU cores.
#
#   make demo-pose
_base_ = [
    'td-hm_hrnas-a_8xb48-210e_coco-256x192.py',
    '../_base_/models/hrnas_small.py',
]
data_root = 'data/demo_coco/'
codec = dict(
    type='MSRAHeatmap', input_size=(144, 192), heatmap_size=(36, 48), sigma=1.5
)
model = dict(
    backbone=dict(
        **_base_.small,
        fuse_channels=32,
    ),
    # A short run from scratch needs a large loss weight, because only a few
    # pixels of every heatmap differ from 0.
    head=dict(in_channels=32, loss=dict(loss_weight=500.0), decoder=codec),
    test_cfg=dict(flip_test=False),
)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(
        type='RandomBBoxTransform', rotate_factor=30, scale_factor=(0.8, 1.2)
    ),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(
    batch_size=16, dataset=dict(data_root=data_root, pipeline=train_pipeline)
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        bbox_file=data_root + 'person_detection_results/'
        'COCO_val2017_detections_AP_H_56_person.json',
        pipeline=val_pipeline,
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=data_root + 'annotations/person_keypoints_val2017.json'
)
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(lr=4e-3, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=30, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        begin=30,
        by_epoch=False,
    ),
]
train_cfg = dict(max_epochs=8, val_interval=2)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=2, max_keep_ckpts=2)
)
custom_hooks = [
    dict(type='SyncBuffersHook'),
    _base_.ema_of_a_short_run,
    dict(
        type='ProgressiveShrinkHook',
        target=0.35,
        threshold=1e-2,
        input_shape=(192, 144),
    ),
]
randomness = dict(seed=0)
