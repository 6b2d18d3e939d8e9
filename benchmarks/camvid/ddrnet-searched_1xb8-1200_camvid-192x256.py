# DDRNet-23-slim from scratch, searched to a quarter of its multiply-adds.
_base_ = (
    '../../configs/mmseg/camvid/ddrnet-23-slim_1xb8-1200_camvid-192x256.py'
)
model = dict(
    backbone=dict(
        _delete_=True, type='Searchable', module=_base_.model.backbone
    )
)
# Between the best of the whole network, 2e-3, and of half its width, 8e-3.
optim_wrapper = dict(optimizer=dict(lr=4e-3))
custom_hooks = [
    _base_.ema_of_a_short_run,
    dict(
        type='ProgressiveShrinkHook',
        target=0.25,
        begin=150,
        interval=25,
        end=600,
    ),
]
