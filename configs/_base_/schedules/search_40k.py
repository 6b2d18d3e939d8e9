# The schedule of HR-NAS for Cityscapes: 430 epochs of 93 iterations, batch 32.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='MergedGroupsConstructor',
    optimizer=dict(
        type='AdamW',
        lr=0.04,
        # The large eps matters: with 1e-8, the penalty alone would move an
        # importance factor eight times as fast, and training with this
        # learning rate collapses.
        eps=1e-3,
        weight_decay=1e-5,
    ),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = dict(
    type='OneCycleLR',
    eta_max=0.04,
    total_steps=40000,
    pct_start=0.3,
    div_factor=25,
    by_epoch=False,
)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=40000, val_interval=4000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=4000, max_keep_ckpts=3
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
)
auto_scale_lr = dict(enable=False, base_batch_size=32)
