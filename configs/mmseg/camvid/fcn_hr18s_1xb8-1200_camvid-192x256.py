# HRNet-W18-small with a head of one layer, a stock network to compare the CamVid search with.
#
#   python tools/train.py \
#       configs/mmseg/camvid/fcn_hr18s_1xb8-1200_camvid-192x256.py
_base_ = [
    'mmseg::_base_/models/fcn_hr18.py',
    '../../_base_/camvid_stock.py',
]
model = dict(
    data_preprocessor=dict(size=(192, 256)),
    pretrained=None,
    backbone=dict(
        extra=dict(
            stage1=dict(num_blocks=(2,)),
            stage2=dict(num_blocks=(2, 2)),
            stage3=dict(num_modules=3, num_blocks=(2, 2, 2)),
            stage4=dict(num_modules=2, num_blocks=(2, 2, 2, 2)),
        )
    ),
    decode_head=_base_.head,
)
