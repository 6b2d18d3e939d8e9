# The paper's segmentation network: the supernet, all branches joined at 1/4
# and put through one more searching block, then a 1x1 classifier.
custom_imports = dict(imports=['hrnas_mm'])
norm_cfg = dict(type='SyncBN', momentum=0.01, eps=1e-3)
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
    backbone=dict(type='HRNASSupernet', fuse_channels=90, norm_cfg=norm_cfg),
    decode_head=dict(
        type='FCNHead',
        in_channels=90,
        in_index=0,
        channels=90,
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
