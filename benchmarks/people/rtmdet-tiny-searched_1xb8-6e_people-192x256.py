# RTMDet-tiny on generated people, whose backbone and neck lose channels while
# it trains.
_base_ = 'rtmdet-tiny_1xb8-6e_people-192x256.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='Searchable',
        module=_base_.model.backbone,
        widths='all',
    ),
    neck=dict(
        _delete_=True,
        type='Searchable',
        module=_base_.model.neck,
        widths='all',
    ),
    # The search leaves the head, which takes a third of the whole network.
    bbox_head=dict(feat_channels=32),
)
custom_hooks = [
    *_base_.custom_hooks,
    dict(
        type='ProgressiveShrinkHook',
        target=0.5,
        begin=150,
        interval=25,
        end=700,
        input_shape=(192, 256),
    ),
]
