# A recipe for two CPU cores: 1200 iterations from scratch, with
# polynomial decay of the learning rate.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='MergedGroupsConstructor',
    # Fused steps on a CPU need torch 2.4.
    optimizer=dict(type='AdamW', lr=4e-3, weight_decay=1e-4, fused=True),
    # Because the run is short, importance factors get a learning rate of
    # 0.008. A useless element is then gone after about 125 iterations of the
    # full penalty.
    paramwise_cfg=dict(
        custom_keys={
            'depthwise.norm.weight': dict(lr_mult=2),
            'project_in.norm.weight': dict(lr_mult=2),
        }
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(
        type='PolyLR',
        power=0.9,
        eta_min=1e-5,
        begin=50,
        end=1200,
        by_epoch=False,
    ),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1200, val_interval=300)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=100, max_keep_ckpts=3
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
)
randomness = dict(seed=0)
