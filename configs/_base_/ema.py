# EMAHooks that average the weights, for custom_hooks.
#
# In the released code, the decay is 0.9999, but at most (1 + t) / (10 + t) at
# iteration t.
ema = dict(
    type='EMAHook',
    ema_type='MomentumAnnealingEMA',
    momentum=1e-4,
    gamma=9,
    update_buffers=True,
)
ema_of_a_short_run = dict(
    type='EMAHook',
    ema_type='MomentumAnnealingEMA',
    momentum=0.05,
    gamma=9,
    update_buffers=True,
)
