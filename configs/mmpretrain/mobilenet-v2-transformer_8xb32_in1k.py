# Table 8: MobileNetV2 with a lightweight Transformer in every inverted residual
# block. The search keeps the tokens that are worth most, within what the paper's
# Transformers cost: 2 M beside the network's 301 M multiply-adds. In the paper:
# 72.8 top-1, 72.0 without.
#
#   tools/dist_train.sh configs/mmpretrain/mobilenet-v2-transformer_8xb32_in1k.py 8
_base_ = 'mmpretrain::mobilenet_v2/mobilenet-v2_8xb32_in1k.py'
custom_imports = dict(imports=['hrnas_mm'])
model = dict(
    backbone=dict(
        _delete_=True,
        type='with_transformers',
        backbone=dict(type='MobileNetV2', widen_factor=1.0),
    )
)
custom_hooks = [
    dict(type='ProgressiveShrinkHook', target='303M', input_shape=(224, 224))
]
