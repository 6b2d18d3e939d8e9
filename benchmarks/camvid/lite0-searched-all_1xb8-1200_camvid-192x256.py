# EfficientNet-Lite0 searched in all of its widths, also those of the maps that
# its blocks add up to.
_base_ = (
    '../../configs/mmseg/camvid/lite0-searched_1xb8-1200_camvid-192x256.py'
)
model = dict(backbone=dict(widths='all'))
