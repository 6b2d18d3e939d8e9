# The paper's classification network: the supernet, a neck that joins all
# branches at 1/32 of the input resolution, and a linear classifier.
custom_imports = dict(imports=['hrnas_mm'])
norm_cfg = dict(type='SyncBN', momentum=0.01, eps=1e-3)
model = dict(
    type='ImageClassifier',
    backbone=dict(type='HRNASSupernet', norm_cfg=norm_cfg),
    neck=[
        dict(type='HRNASFuseScales', norm_cfg=norm_cfg),
        dict(type='GlobalAveragePooling'),
    ],
    head=dict(
        type='LinearClsHead',
        in_channels=1600,
        num_classes=1000,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5),
    ),
)
