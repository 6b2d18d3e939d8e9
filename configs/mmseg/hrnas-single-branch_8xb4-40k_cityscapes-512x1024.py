# Table 6, first row: a chain of 3x3 searching blocks.
# The paper reports 66.23 mIoU at 1.81 G multiply-adds.
#
#   tools/dist_train.sh configs/mmseg/hrnas-single-branch_8xb4-40k_cityscapes-512x1024.py 8
_base_ = 'hrnas-a_8xb4-40k_cityscapes-512x1024.py'
model = dict(
    backbone=dict(multi_branch=False, kernel_sizes=(3,), num_tokens=0)
)
custom_hooks = _base_.custom_hooks
custom_hooks[-1].target = '1.81G'
