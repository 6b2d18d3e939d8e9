# mmseg's FCN with HRNet-W18, whose backbone loses channels while it trains.
#
#   bash tools/dist_train.sh \
#       configs/mmseg/fcn_hr18-searched_4xb2-40k_cityscapes-512x1024.py 4
_base_ = 'mmseg::hrnet/fcn_hr18_4xb2-40k_cityscapes-512x1024.py'
custom_imports = dict(imports=['hrnas_mm'])
model = dict(
    backbone=dict(
        _delete_=True, type='Searchable', module=_base_.model.backbone
    )
)
custom_hooks = [dict(type='ProgressiveShrinkHook', target=0.5)]
