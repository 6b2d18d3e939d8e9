# EfficientNet-Lite0 searched to 50 % of its multiply-adds.
_base_ = (
    '../../configs/mmseg/camvid/lite0-searched_1xb8-1200_camvid-192x256.py'
)
custom_hooks = _base_.custom_hooks
custom_hooks[1].target = 0.5
