# RTMPose-s on generated people, whose backbone loses channels while it trains.
_base_ = 'rtmpose-s_1xb16-24e_people-192x144.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='Searchable',
        module=_base_.model.backbone,
        widths='all',
    )
)
custom_hooks = [
    *_base_.custom_hooks,
    dict(
        type='ProgressiveShrinkHook',
        target=0.5,
        begin=450,
        interval=75,
        end=2100,
        input_shape=(192, 144),
    ),
]
