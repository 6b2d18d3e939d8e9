# Table 6, third row: branches and MixConv, no Transformers.
# The paper reports 71.99 mIoU at 1.86 G multiply-adds.
#
#   tools/dist_train.sh configs/mmseg/hrnas-mixconv_8xb4-40k_cityscapes-512x1024.py 8
_base_ = 'hrnas-a_8xb4-40k_cityscapes-512x1024.py'
model = dict(backbone=dict(num_tokens=0))
custom_hooks = _base_.custom_hooks
custom_hooks[-1].target = '1.86G'
