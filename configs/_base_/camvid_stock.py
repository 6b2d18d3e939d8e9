# The recipe of the CamVid search for stock networks, at half its learning rate
# unless a config has tried others. Models set
# data_preprocessor.size=(192, 256) and decode_head=_base_.head.
_base_ = [
    './datasets/camvid.py',
    './schedules/cpu_1200_late_decay.py',
    './ema.py',
    'mmseg::_base_/default_runtime.py',
]
custom_imports = dict(imports=['hrnas_mm'])
# Where the head allows it, OHEM as in the search.
head = dict(
    num_classes=11,
    sampler=dict(type='OHEMPixelSampler', thresh=0.9, min_kept=20000),
)
custom_hooks = [_base_.ema_of_a_short_run]
