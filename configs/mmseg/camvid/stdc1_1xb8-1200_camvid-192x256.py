# STDC1 with its three auxiliary heads, a stock network to compare the CamVid search with.
#
#   python tools/train.py \
#       configs/mmseg/camvid/stdc1_1xb8-1200_camvid-192x256.py
_base_ = [
    'mmseg::_base_/models/stdc.py',
    '../../_base_/camvid_stock.py',
]
*auxiliary, boundary = _base_.model.auxiliary_head
by_classes = [{**head, 'num_classes': 11} for head in auxiliary]
model = dict(
    data_preprocessor=dict(size=(192, 256)),
    decode_head=_base_.head,
    auxiliary_head=[*by_classes, boundary],
)
