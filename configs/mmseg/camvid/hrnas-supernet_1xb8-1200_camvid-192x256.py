# The supernet of the CamVid search, trained as it is, without shrinking.
#
#   python tools/train.py \
#       configs/mmseg/camvid/hrnas-supernet_1xb8-1200_camvid-192x256.py
_base_ = './hrnas_1xb8-1200_camvid-192x256.py'
custom_hooks = _base_.custom_hooks[:-1]
