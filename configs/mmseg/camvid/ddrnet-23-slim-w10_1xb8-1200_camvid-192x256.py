# DDRNet-23-slim with 10 channels instead of 32.
#
#   python tools/train.py \
#       configs/mmseg/camvid/ddrnet-23-slim-w10_1xb8-1200_camvid-192x256.py
_base_ = './ddrnet-23-slim-w16_1xb8-1200_camvid-192x256.py'
model = dict(
    backbone=dict(channels=10, ppm_channels=40),
    decode_head=dict(in_channels=40, channels=20),
)
