# Table 8: MobileNetV2 with a lightweight Transformer in every inverted
# residual block, and PSP as head. A fixed, small penalty reduces the number of
# tokens. The paper reports 70.17 mIoU, and 68.98 without Transformers.
#
#   tools/dist_train.sh configs/mmseg/mobilenet-v2-transformer-d8_pspnet_4xb2-80k_cityscapes-512x1024.py 4
_base_ = 'mmseg::mobilenet_v2/mobilenet-v2-d8_pspnet_4xb2-80k_cityscapes-512x1024.py'
custom_imports = dict(imports=['hrnas_mm'])
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='with_transformers',
        backbone=dict(
            type='MobileNetV2',
            strides=(1, 2, 2, 1, 1, 1, 1),
            dilations=(1, 1, 1, 2, 2, 4, 4),
            out_indices=(1, 2, 4, 6),
            norm_cfg=norm_cfg,
        ),
        norm_cfg=norm_cfg,
    ),
)
optim_wrapper = dict(
    # As the paper's searches on Cityscapes, 0.04 at batch 32.
    optimizer=dict(
        _delete_=True, type='AdamW', lr=0.01, eps=1e-3, weight_decay=1e-5
    ),
    constructor='MergedGroupsConstructor',
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
custom_hooks = [dict(type='ProgressiveShrinkHook', rho=1.4e-4, interval=4000)]
