# The recipe of the CamVid search for stock networks, at half of its learning
# rate. Models set data_preprocessor.size=(192, 256) and num_classes=11.
_base_ = [
    './datasets/camvid.py',
    './schedules/cpu_1200.py',
    './ema.py',
    'mmseg::_base_/default_runtime.py',
]
custom_imports = dict(imports=['hrnas_mm'])
optim_wrapper = dict(optimizer=dict(lr=2e-3))
custom_hooks = [{**_base_.ema, 'momentum': 0.02}]
