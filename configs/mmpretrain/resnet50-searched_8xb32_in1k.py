# mmpretrain's ResNet-50, which loses channels while it trains.
#
#   bash tools/dist_train.sh \
#       configs/mmpretrain/resnet50-searched_8xb32_in1k.py 8
_base_ = 'mmpretrain::resnet/resnet50_8xb32_in1k.py'
custom_imports = dict(imports=['hrnas_mm'])
model = dict(
    backbone=dict(
        _delete_=True, type='Searchable', module=_base_.model.backbone
    )
)
custom_hooks = [
    dict(type='ProgressiveShrinkHook', target=0.5, input_shape=(224, 224))
]
