# A search in EfficientNet-Lite0, whose weights from ImageNet are kept.
#
#   pip install '.[seg,timm]'
#   python benchmarks/lite0_weights.py data/lite0.pth
#   python tools/train.py \
#       configs/mmseg/camvid/lite0-searched_1xb8-1200_camvid-192x256.py
_base_ = './lite0_1xb8-1200_camvid-192x256.py'
model = dict(
    backbone=dict(
        _delete_=True, type='Searchable', module=_base_.model.backbone
    )
)
# What is left has more to learn than the whole network.
optim_wrapper = dict(optimizer=dict(lr=3e-3))
custom_hooks = [
    _base_.ema_of_a_short_run,
    dict(
        type='ProgressiveShrinkHook',
        target=0.25,
        begin=150,
        interval=25,
        end=600,
    ),
]
