# mmseg's DeepLabV3+ with ResNet-50, whose backbone loses channels while it
# trains.
#
#   bash tools/dist_train.sh configs/mmseg/\
#   deeplabv3plus_r50-d8-searched_4xb2-40k_cityscapes-512x1024.py 4
_base_ = (
    'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb2-40k_cityscapes-512x1024.py'
)
custom_imports = dict(imports=['hrnas_mm'])
model = dict(
    backbone=dict(
        _delete_=True, type='Searchable', module=_base_.model.backbone
    )
)
# The head, which is not searched, has a third of the multiply-adds.
custom_hooks = [dict(type='ProgressiveShrinkHook', target=0.6)]
