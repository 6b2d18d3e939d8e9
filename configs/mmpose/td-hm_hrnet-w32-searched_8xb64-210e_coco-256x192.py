# mmpose's HRNet-W32, which loses channels while it trains.
#
#   bash tools/dist_train.sh \
#       configs/mmpose/td-hm_hrnet-w32-searched_8xb64-210e_coco-256x192.py 8
_base_ = (
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
)
custom_imports = dict(imports=['hrnas_mm'])
model = dict(
    backbone=dict(
        _delete_=True, type='Searchable', module=_base_.model.backbone
    )
)
custom_hooks = [
    dict(type='ProgressiveShrinkHook', target=0.5, input_shape=(256, 192))
]
