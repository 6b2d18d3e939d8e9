# mmpose's RTMPose-s on generated people, from scratch, on one CPU core:
#
#   python tools/make_demo_data.py coco data/people --train 2000 --val 400
_base_ = [
    'mmpose::body_2d_keypoint/rtmpose/coco/'
    'rtmpose-s_8xb256-420e_coco-256x192.py',
    '../../configs/_base_/ema.py',
]
custom_imports = dict(imports=['hrnas_mm'])
data_root = 'data/people/'
codec = dict(
    type='SimCCLabel',
    input_size=(144, 192),
    sigma=(3.7, 4.2),
    simcc_split_ratio=2.0,
    normalize=False,
    use_dark=False,
)
model = dict(
    backbone=dict(init_cfg=None),
    head=dict(
        input_size=codec['input_size'],
        in_featuremap_size=(5, 6),  # 144 is no multiple of 32
        decoder=codec,
    ),
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
    batch_size=16,
    num_workers=1,
    drop_last=True,
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root=data_root, pipeline=val_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=data_root + 'annotations/person_keypoints_val2017.json'
)
test_evaluator = val_evaluator
# In 8 epochs at 2e-3, some networks had found the keypoints, and some had not.
optim_wrapper = dict(
    optimizer=dict(lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=35, norm_type=2),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        begin=50,
        end=4416,
        by_epoch=False,
    ),
]
train_cfg = dict(max_epochs=24, val_interval=4)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=4, max_keep_ckpts=1, save_best=None),
)
custom_hooks = [_base_.ema_of_a_short_run]
randomness = dict(seed=0)
