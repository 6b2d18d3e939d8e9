# The paper's search on COCO keypoints (Table 4), to the budget of HR-NAS-A:
# 0.25 G multiply-adds. The supernet has 6.3 G, 5.80 G of them in convolutions.
# The paper reports 1.7 M parameters and 67.7 AP with detector boxes, with a
# fixed rho of 1e-6.
#
#   tools/dist_train.sh configs/mmpose/td-hm_hrnas-a_8xb48-210e_coco-256x192.py 8
_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py',
    '../_base_/ema.py',
]
custom_imports = dict(imports=['hrnas_mm'])
data_root = 'data/coco/'
model = dict(
    backbone=dict(
        _delete_=True,
        type='HRNASSupernet',
        fuse_channels=90,
        norm_cfg=dict(type='SyncBN', momentum=0.1, eps=1e-5),
    ),
    # As in the released code, where the loss is half of the squared error.
    head=dict(in_channels=90, loss=dict(loss_weight=0.5)),
)
train_dataloader = dict(batch_size=48)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, eps=1e-8, weight_decay=1e-8),
    constructor='MergedGroupsConstructor',
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
auto_scale_lr = dict(base_batch_size=384)
custom_hooks = [
    dict(type='SyncBuffersHook'),
    _base_.ema,
    # The released code shrinks every 30 epochs. This is too rare for a search
    # to a target: 4 shrinks would have to lead from the supernet to 4 % of it.
    dict(
        type='ProgressiveShrinkHook',
        target='0.25G',
        rho=1e-6,
        warmup=25,
        interval=5,
        by_epoch=True,
        input_shape=(256, 192),
    ),
]
