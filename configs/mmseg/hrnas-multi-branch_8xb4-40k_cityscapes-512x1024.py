# Table 6, second row: all branches, with 3x3 paths only.
# The paper reports 68.65 mIoU at 1.64 G multiply-adds.
#
#   tools/dist_train.sh configs/mmseg/hrnas-multi-branch_8xb4-40k_cityscapes-512x1024.py 8
_base_ = 'hrnas-a_8xb4-40k_cityscapes-512x1024.py'
model = dict(backbone=dict(kernel_sizes=(3,), num_tokens=0))
custom_hooks = _base_.custom_hooks
custom_hooks[-1].target = '1.64G'
