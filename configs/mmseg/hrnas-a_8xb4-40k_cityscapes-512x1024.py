# The paper's search on Cityscapes (Table 2), to the budget of HR-NAS-A: 1.91 G
# multiply-adds. The supernet has 62.3 G, 61.8 G of them in convolutions. The
# paper reports 74.26 mIoU, with a fixed rho of 1.4e-4.
#
#   tools/dist_train.sh configs/mmseg/hrnas-a_8xb4-40k_cityscapes-512x1024.py 8
_base_ = [
    '../_base_/models/hrnas_seg.py',
    'mmseg::_base_/datasets/cityscapes.py',
    '../_base_/schedules/search_40k.py',
    'mmseg::_base_/default_runtime.py',
    '../_base_/ema.py',
]
model = dict(data_preprocessor=dict(size=(512, 1024)))
train_dataloader = dict(batch_size=4, num_workers=4)

iters_per_epoch = 93  # 2975 images / 32
custom_hooks = [
    _base_.ema,
    dict(
        type='ProgressiveShrinkHook',
        target='1.91G',
        rho=1.4e-4,
        warmup=25 * iters_per_epoch,
        interval=10 * iters_per_epoch,
    ),
]
