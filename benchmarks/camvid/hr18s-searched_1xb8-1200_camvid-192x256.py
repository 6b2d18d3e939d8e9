# HRNet-W18-small from scratch, searched to a quarter of its multiply-adds.
_base_ = '../../configs/mmseg/camvid/fcn_hr18s_1xb8-1200_camvid-192x256.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='Searchable',
        module=_base_.model.backbone,
        widths='all',  # its blocks alone have too little
    )
)
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
