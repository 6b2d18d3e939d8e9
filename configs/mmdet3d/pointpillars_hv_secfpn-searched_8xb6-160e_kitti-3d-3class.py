# mmdet3d's PointPillars, whose backbone loses channels while it trains.
#
#   bash tools/dist_train.sh configs/mmdet3d/\
#   pointpillars_hv_secfpn-searched_8xb6-160e_kitti-3d-3class.py 8
_base_ = (
    'mmdet3d::pointpillars/pointpillars_hv_secfpn_8xb6-160e_kitti-3d-3class.py'
)
custom_imports = dict(imports=['hrnas_mm'])
model = dict(
    backbone=dict(
        _delete_=True, type='Searchable', module=_base_.model.backbone
    )
)
custom_hooks = [
    dict(type='ProgressiveShrinkHook', target=0.5, input_shape=(496, 432))
]
