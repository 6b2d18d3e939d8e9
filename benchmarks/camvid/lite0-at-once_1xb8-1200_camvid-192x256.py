# EfficientNet-Lite0 cut at once, in the middle of the run.
_base_ = (
    '../../configs/mmseg/camvid/lite0-searched_1xb8-1200_camvid-192x256.py'
)
custom_hooks = _base_.custom_hooks
custom_hooks[1].begin = 575
