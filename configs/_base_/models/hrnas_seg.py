# The paper's segmentation network: the supernet, whose branches are joined at
# 1/4 of the input resolution and passed through one more searching block, and
# a 1x1 classifier.
custom_imports = dict(imports=['hrnas_mm'])
norm_cfg = dict(type='SyncBN', momentum=0.01, eps=1e-3)
channels = 90  # of the joined map: a third of all branches' 270
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='HRNASSupernet', fuse_channels=channels, norm_cfg=norm_cfg
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=channels,
        in_index=0,
        channels=channels,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=19,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
