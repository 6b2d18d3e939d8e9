# SegFormer-B0, a stock network to compare the CamVid search with.
#
#   python tools/train.py \
#       configs/mmseg/camvid/segformer_mit-b0_1xb8-1200_camvid-192x256.py
_base_ = [
    'mmseg::_base_/models/segformer_mit-b0.py',
    '../../_base_/camvid_stock.py',
]
model = dict(
    data_preprocessor=dict(size=(192, 256)),
    decode_head=_base_.head,
)
