# The demo of 3D detection: a search on generated lidar frames that takes
# minutes on two CPU cores. The supernet is small, and the range is up to 30 m.
#
#   make demo-det3d
_base_ = [
    'pointpillars_hrnas-a_8xb6-80e_kitti-3d-3class.py',
    '../_base_/models/hrnas_small.py',
]
data_root = 'data/demo_kitti/'
point_cloud_range = [0, -15.36, -3, 30.72, 15.36, 1]
grid = [192, 192]
model = dict(
    data_preprocessor=dict(
        voxel_layer=dict(point_cloud_range=point_cloud_range)
    ),
    voxel_encoder=dict(point_cloud_range=point_cloud_range),
    middle_encoder=dict(output_shape=grid),
    backbone=dict(
        **_base_.small,
        fuse_channels=32,
        norm_cfg=dict(momentum=0.1),
    ),
    bbox_head=dict(
        in_channels=32,
        feat_channels=32,
        anchor_generator=dict(
            ranges=[
                [0, -15.36, -0.6, 30.72, 15.36, -0.6],
                [0, -15.36, -0.6, 30.72, 15.36, -0.6],
                [0, -15.36, -1.78, 30.72, 15.36, -1.78],
            ]
        ),
    ),
)
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[2].db_sampler.update(
    data_root=data_root, info_path=data_root + 'kitti_dbinfos_train.pkl'
)
for step in (*train_pipeline[-4:-2], test_pipeline[1].transforms[-1]):
    step.point_cloud_range = point_cloud_range
del step
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    dataset=dict(dataset=dict(data_root=data_root, pipeline=train_pipeline)),
)
val_dataloader = dict(
    dataset=dict(data_root=data_root, pipeline=test_pipeline)
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'kitti_infos_val.pkl')
test_evaluator = val_evaluator
epochs = 12  # 2 without shrinking, 6 with it, 4 fixed
param_scheduler = dict(total_steps=epochs)
train_cfg = dict(max_epochs=epochs, val_interval=4)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=4, max_keep_ckpts=2)
)
custom_hooks = [
    dict(
        type='ProgressiveShrinkHook',
        target=0.5,
        threshold=1e-2,
        begin=2,
        interval=1,
        end=8,
        by_epoch=True,
        input_shape=(64, *grid),
    )
]
randomness = dict(seed=0)
