# A search on CamVid that takes less than an hour on a CPU. It leads from
# 0.92 G multiply-adds at 192x256 to a tenth of that.
#
#   python tools/train.py configs/mmseg/camvid/hrnas_1xb8-1200_camvid-192x256.py
_base_ = [
    '../../_base_/models/hrnas_seg.py',
    '../../_base_/datasets/camvid.py',
    '../../_base_/schedules/cpu_1200_late_decay.py',
    '../../_base_/ema.py',
    'mmseg::_base_/default_runtime.py',
]
norm_cfg = dict(type='SyncBN', momentum=0.1, eps=1e-5)
model = dict(
    data_preprocessor=dict(size=(192, 256)),
    backbone=dict(
        stem_channels=(16, 16),
        stages=(
            dict(num_blocks=(1,), num_channels=(16,)),
            dict(num_blocks=(1, 1), num_channels=(16, 24)),
            dict(num_blocks=(1, 1, 2), num_channels=(16, 24, 40)),
            dict(num_blocks=(1, 1, 2, 2), num_channels=(16, 24, 40, 64)),
        ),
        expand_ratio=2,
        num_tokens=16,
        fuse_channels=48,
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        in_channels=48,
        channels=48,
        num_classes=11,
        # OHEM as in mmseg's DDRNet, because small objects have few pixels.
        sampler=dict(type='OHEMPixelSampler', thresh=0.9, min_kept=20000),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=8e-3))
custom_hooks = [
    _base_.ema_of_a_short_run,
    # 150 iterations without shrinking, 450 with it, 600 on the fixed network.
    dict(
        type='ProgressiveShrinkHook',
        target=0.1,
        begin=150,
        interval=25,
        end=600,
        threshold=1e-2,
    ),
]
