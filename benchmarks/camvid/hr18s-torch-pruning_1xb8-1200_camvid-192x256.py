# HRNet-W18-small from scratch, pruned by Torch-Pruning while it trains.
_base_ = '../../configs/mmseg/camvid/fcn_hr18s_1xb8-1200_camvid-192x256.py'
custom_imports = dict(imports=['hrnas_mm', 'torch_pruning_hook'])
norm_cfg = dict(_delete_=True, type='BN')  # SyncBN is not seen
model = dict(
    backbone=dict(norm_cfg=norm_cfg), decode_head=dict(norm_cfg=norm_cfg)
)
custom_hooks = [
    _base_.ema_of_a_short_run,
    dict(
        type='TorchPruningHook',
        target=0.25,
        at=list(range(150, 601, 50)),
        reg=5e-4,
    ),
]
