# As hrnas-a, to the budget of HR-NAS-B (Table 2): 4.66 G multiply-adds. In the
# paper: 3.85 M parameters, 75.90 mIoU.
#
#   tools/dist_train.sh configs/mmseg/hrnas-b_8xb4-40k_cityscapes-512x1024.py 8
_base_ = 'hrnas-a_8xb4-40k_cityscapes-512x1024.py'
custom_hooks = _base_.custom_hooks
custom_hooks[-1].target = '4.66G'
