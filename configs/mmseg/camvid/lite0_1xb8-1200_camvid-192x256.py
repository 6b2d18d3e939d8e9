# EfficientNet-Lite0 with weights from ImageNet and a light head: a stock
# network to begin a search from, trained whole.
#
#   pip install '.[seg,timm]'
#   python benchmarks/lite0_weights.py data/lite0.pth
#   python tools/train.py \
#       configs/mmseg/camvid/lite0_1xb8-1200_camvid-192x256.py
_base_ = ['../../_base_/camvid_stock.py']
model = dict(
    type='EncoderDecoder',
    # The weights come from TensorFlow, whose images lie between -1 and 1.
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.5] * 3,
        std=[127.5] * 3,
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(192, 256),
    ),
    backbone=dict(
        type='TIMMBackbone',
        model_name='tf_efficientnet_lite0',
        features_only=True,
        pretrained=False,
        out_indices=(1, 2, 3, 4),
        init_cfg=dict(type='Pretrained', checkpoint='data/lite0.pth'),
    ),
    decode_head=dict(
        type='SegformerHead',
        in_channels=[24, 40, 112, 320],
        in_index=[0, 1, 2, 3],
        channels=32,
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        **_base_.head,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
# What is pretrained learns slowly, the new head four times as fast.
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=4))),
)
