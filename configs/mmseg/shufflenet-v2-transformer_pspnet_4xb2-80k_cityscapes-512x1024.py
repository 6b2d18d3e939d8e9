# Table 8: ShuffleNetV2 with a lightweight Transformer in every unit, and PSP
# as head. A fixed, small penalty reduces the number of tokens. The paper
# reports 67.31 mIoU, and 66.02 without Transformers.
#
#   tools/dist_train.sh configs/mmseg/shufflenet-v2-transformer_pspnet_4xb2-80k_cityscapes-512x1024.py 4
_base_ = 'mobilenet-v2-transformer-d8_pspnet_4xb2-80k_cityscapes-512x1024.py'
model = dict(
    backbone=dict(
        backbone=dict(
            _delete_=True,
            type='mmpretrain.ShuffleNetV2',
            out_indices=(0, 1, 2, 3),
            norm_cfg=dict(type='SyncBN', requires_grad=True),
        )
    ),
    decode_head=dict(in_channels=1024),
    auxiliary_head=dict(in_channels=464),
)
