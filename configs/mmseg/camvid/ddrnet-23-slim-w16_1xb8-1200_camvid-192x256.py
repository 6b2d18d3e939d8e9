# DDRNet-23-slim with 16 channels instead of 32.
#
#   python tools/train.py \
#       configs/mmseg/camvid/ddrnet-23-slim-w16_1xb8-1200_camvid-192x256.py
_base_ = './ddrnet-23-slim_1xb8-1200_camvid-192x256.py'
model = dict(
    backbone=dict(channels=16, ppm_channels=64),
    decode_head=dict(in_channels=64, channels=32),
)
# Better than 4e-3 on val.
optim_wrapper = dict(optimizer=dict(lr=8e-3))
