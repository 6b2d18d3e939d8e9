# mmdet's RTMDet-tiny on generated people, from scratch, on one CPU core:
#
#   python tools/make_demo_data.py coco data/people --train 2000 --val 400
_base_ = [
    'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    '../../configs/_base_/ema.py',
]
custom_imports = dict(imports=['hrnas_mm'])
data_root = 'data/people/'
scale = (256, 192)  # width, height
model = dict(
    backbone=dict(init_cfg=None),
    bbox_head=dict(num_classes=1),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='RandomResize',
        scale=scale,
        ratio_range=(0.75, 1.25),
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=scale, allow_negative_crop=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=scale, pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=(
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
        ),
    ),
]
dataset = dict(
    data_root=data_root,
    metainfo=dict(classes=('person',), palette=[(220, 20, 60)]),
)
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    drop_last=True,
    dataset=dict(
        **dataset,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        **dataset,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator
optim_wrapper = dict(
    optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=35, norm_type=2)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        begin=50,
        end=1500,
        by_epoch=False,
    ),
]
train_cfg = dict(max_epochs=6, val_interval=2, dynamic_intervals=None)
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=2, max_keep_ckpts=1)
)
custom_hooks = [_base_.ema_of_a_short_run]
randomness = dict(seed=0)
