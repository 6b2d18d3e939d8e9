# mmdet's RTMDet-tiny, whose backbone and neck lose channels while it trains:
# also those that their blocks add up to and concatenate.
#
#   bash tools/dist_train.sh \
#       configs/mmdet/rtmdet_tiny-searched_8xb32-300e_coco.py 8
_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
custom_imports = dict(imports=['hrnas_mm'])
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
)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='ProgressiveShrinkHook', target=0.5, input_shape=(640, 640)),
]
