# Like hrnas-a, but to the budget of HR-NAS-B (Table 1): 325 M multiply-adds.
# The paper reports 6.4 M parameters and 76.5 top-1.
#
#   tools/dist_train.sh configs/mmpretrain/hrnas-b_8xb64-350e_in1k.py 8
_base_ = 'hrnas-a_8xb64-350e_in1k.py'
custom_hooks = _base_.custom_hooks
custom_hooks[-1].target = '325M'
