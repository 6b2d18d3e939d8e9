# Table 7, 8 tokens: learned position embedding.
# The paper reports 72.71 mIoU at 2.236 G multiply-adds.
#
#   tools/dist_train.sh configs/mmseg/hrnas-learned_8xb4-40k_cityscapes-512x1024.py 8
_base_ = 'hrnas-a_8xb4-40k_cityscapes-512x1024.py'
model = dict(backbone=dict(num_tokens=8, transformer=dict(position='learned')))
custom_hooks = _base_.custom_hooks
custom_hooks[-1].target = '2.236G'
