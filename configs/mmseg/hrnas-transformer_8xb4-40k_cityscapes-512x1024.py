# Table 6, last row: branches, MixConv and Transformers.
# The paper reports 74.55 mIoU at 1.93 G multiply-adds.
#
#   tools/dist_train.sh configs/mmseg/hrnas-transformer_8xb4-40k_cityscapes-512x1024.py 8
_base_ = 'hrnas-a_8xb4-40k_cityscapes-512x1024.py'
custom_hooks = _base_.custom_hooks
custom_hooks[-1].target = '1.93G'
