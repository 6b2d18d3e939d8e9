# EfficientNet-Lite0 pruned to milliseconds by nvidia-modelopt's FastNAS, in
# the middle of the run.
_base_ = '../../configs/mmseg/camvid/lite0_1xb8-1200_camvid-192x256.py'
custom_imports = dict(imports=['hrnas_mm', 'fastnas_hook'])
optim_wrapper = dict(optimizer=dict(lr=3e-3))
custom_hooks = [
    _base_.ema_of_a_short_run,
    dict(type='FastNASHook', latency=1.84, at=600),
]
