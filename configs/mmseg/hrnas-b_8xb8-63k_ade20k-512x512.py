# Like hrnas-a, but to the budget of HR-NAS-B (Table 3): 2.19 G multiply-adds.
# The paper reports 3.86 M parameters and 34.92 mIoU.
#
#   tools/dist_train.sh configs/mmseg/hrnas-b_8xb8-63k_ade20k-512x512.py 8
_base_ = 'hrnas-a_8xb8-63k_ade20k-512x512.py'
custom_hooks = _base_.custom_hooks
custom_hooks[-1].target = '2.19G'
