# Like hrnas-a, but to the budget of HR-NAS-B (Table 5): 15.65 G multiply-adds.
# The paper reports 4.74 M parameters and 78.49 AP of moderate cars.
#
#   tools/dist_train.sh configs/mmdet3d/pointpillars_hrnas-b_8xb6-80e_kitti-3d-3class.py 8
_base_ = 'pointpillars_hrnas-a_8xb6-80e_kitti-3d-3class.py'
custom_hooks = _base_.custom_hooks
custom_hooks[-1].target = '15.65G'
