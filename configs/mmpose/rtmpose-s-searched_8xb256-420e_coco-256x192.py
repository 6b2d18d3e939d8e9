# mmpose's RTMPose-s, whose backbone loses channels while it trains: also those
# that its blocks add up to and concatenate.
#
#   bash tools/dist_train.sh \
#       configs/mmpose/rtmpose-s-searched_8xb256-420e_coco-256x192.py 8
_base_ = (
    'mmpose::body_2d_keypoint/rtmpose/coco/'
    'rtmpose-s_8xb256-420e_coco-256x192.py'
)
custom_imports = dict(imports=['hrnas_mm'])
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
    dict(type='ProgressiveShrinkHook', target=0.5, input_shape=(256, 192)),
]
