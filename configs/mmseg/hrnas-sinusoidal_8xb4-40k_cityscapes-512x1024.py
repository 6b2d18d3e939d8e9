# Table 7, 8 tokens: sinusoidal position encoding.
# The paper reports 71.91 mIoU at 2.131 G multiply-adds.
#
#   tools/dist_train.sh configs/mmseg/hrnas-sinusoidal_8xb4-40k_cityscapes-512x1024.py 8
_base_ = 'hrnas-a_8xb4-40k_cityscapes-512x1024.py'
model = dict(
    backbone=dict(num_tokens=8, transformer=dict(position='sinusoidal'))
)
custom_hooks = _base_.custom_hooks
custom_hooks[-1].target = '2.131G'
