# Averaged models, for custom_hooks.
#
# The released decay 0.9999 is capped by (1 + t) / (10 + t).
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
