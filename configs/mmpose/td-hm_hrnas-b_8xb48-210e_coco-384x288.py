# Like hrnas-a, but to the budget of HR-NAS-B (Table 4): 3.72 G multiply-adds.
# The paper reports 6.6 M parameters and 75.5 AP with detector boxes.
#
#   tools/dist_train.sh configs/mmpose/td-hm_hrnas-b_8xb48-210e_coco-384x288.py 8
_base_ = 'td-hm_hrnas-a_8xb48-210e_coco-384x288.py'
custom_hooks = _base_.custom_hooks
custom_hooks[-1].target = '3.72G'
