# Like hrnas-a, but to the budget of HR-NAS-B (Table 2): 4.66 G multiply-adds.
# The paper reports 3.85 M parameters and 75.90 mIoU.
#
#   tools/dist_train.sh configs/mmseg/hrnas-b_8xb4-40k_cityscapes-512x1024.py 8
_base_ = 'hrnas-a_8xb4-40k_cityscapes-512x1024.py'
custom_hooks = _base_.custom_hooks
custom_hooks[-1].target = '4.66G'
