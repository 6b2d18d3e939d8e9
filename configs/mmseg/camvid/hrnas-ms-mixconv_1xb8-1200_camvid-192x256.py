# The search to 5.5 milliseconds without Transformers.
#
#   python tools/train.py \
#       configs/mmseg/camvid/hrnas-ms-mixconv_1xb8-1200_camvid-192x256.py
_base_ = './hrnas-ms_1xb8-1200_camvid-192x256.py'
model = dict(backbone=dict(num_tokens=0))
