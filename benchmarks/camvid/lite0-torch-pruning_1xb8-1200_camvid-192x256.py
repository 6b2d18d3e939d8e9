# EfficientNet-Lite0 pruned by Torch-Pruning while it trains.
_base_ = './lite0-torch-pruning-once_1xb8-1200_camvid-192x256.py'
custom_hooks = [
    _base_.ema_of_a_short_run,
    dict(
        type='TorchPruningHook',
        target=0.25,
        at=list(range(150, 601, 50)),
        reg=5e-4,
    ),
]
