# MobileNetV3-large with the LR-ASPP head, a stock network to compare the CamVid search with.
#
#   python tools/train.py \
#       configs/mmseg/camvid/lraspp_m-v3-d8_1xb8-1200_camvid-192x256.py
_base_ = [
    'mmseg::_base_/models/lraspp_m-v3-d8.py',
    '../../_base_/camvid_stock.py',
]
model = dict(
    data_preprocessor=dict(size=(192, 256)),
    decode_head=_base_.head,
)
