# The paper's search on KITTI (Table 5), to the budget of HR-NAS-A: 3.22 G
# multiply-adds of the 2D network on the pseudo-image of 496x432, heads
# included. The paper reports 2.13 M parameters and 69.74 AP of moderate cars.
#
#   tools/dist_train.sh configs/mmdet3d/pointpillars_hrnas-a_8xb6-80e_kitti-3d-3class.py 8
#
# The released code contains no detection, so the network is a choice of this
# project. One stride-2 convolution in the stem gives the supernet's first
# branch the resolution of the anchors, a grid of 248x216. There, all branches
# are joined into 90 channels, as for segmentation, in place of SECOND and
# SECONDFPN.
_base_ = (
    'mmdet3d::pointpillars/pointpillars_hv_secfpn_8xb6-160e_kitti-3d-3class.py'
)
custom_imports = dict(imports=['hrnas_mm'])
model = dict(
    backbone=dict(
        _delete_=True,
        type='HRNASSupernet',
        in_channels=64,
        stem_strides=(2, 1),
        fuse_channels=90,
        norm_cfg=dict(type='SyncBN', momentum=0.01, eps=1e-3),
    ),
    neck=None,
    bbox_head=dict(in_channels=90, feat_channels=90),
)
train_pipeline = _base_.train_pipeline
train_pipeline[2].use_ground_plane = False  # not part of KITTI
train_dataloader = dict(
    dataset=dict(times=1, dataset=dict(pipeline=train_pipeline))
)
optim_wrapper = dict(
    optimizer=dict(
        type='AdamW', lr=3e-4, betas=(0.95, 0.99), weight_decay=0.01
    ),
    constructor='MergedGroupsConstructor',
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
epochs, iters_per_epoch = 80, 78  # 3712 frames / 48
param_scheduler = dict(
    _delete_=True,
    type='OneCycleLR',
    eta_max=3e-3,
    total_steps=epochs,
    pct_start=0.4,
    div_factor=10,
    by_epoch=True,
    convert_to_iter_based=True,
)
custom_hooks = [
    dict(
        type='ProgressiveShrinkHook',
        target='3.22G',
        input_shape=(64, 496, 432),
    ),
]
