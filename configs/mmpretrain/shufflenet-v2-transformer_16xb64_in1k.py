# Table 8: ShuffleNetV2 with a lightweight Transformer in every unit. The search
# keeps the tokens that are worth most, within what the paper's Transformers cost:
# 7 M beside the network's 145 M multiply-adds. In the paper: 70.1 top-1, 69.5
# without.
#
#   tools/dist_train.sh configs/mmpretrain/shufflenet-v2-transformer_16xb64_in1k.py 16
_base_ = 'mmpretrain::shufflenet_v2/shufflenet-v2-1x_16xb64_in1k.py'
custom_imports = dict(imports=['hrnas_mm'])
model = dict(
    backbone=dict(
        _delete_=True,
        type='with_transformers',
        backbone=dict(type='ShuffleNetV2', widen_factor=1.0),
    )
)
custom_hooks = [
    dict(type='ProgressiveShrinkHook', target='152M', input_shape=(224, 224))
]
