# The paper's search on Cityscapes (Table 2). Supernet: 62.3 G multiply-adds,
# of which 61.8 G are convolutions. HR-NAS-A in the paper: 1.91 G, 74.26 mIoU.
#
#   torchrun --nproc_per_node=8 tools/train.py \
#       configs/mmseg/hrnas_8xb4-40k_cityscapes-512x1024.py --launcher pytorch
_base_ = [
    '../_base_/models/hrnas_seg.py',
    'mmseg::_base_/datasets/cityscapes.py',
    '../_base_/schedules/search_40k.py',
    'mmseg::_base_/default_runtime.py',
]
data_help = (
    'Cityscapes is at https://www.cityscapes-dataset.com; then run '
    "mmseg's tools/dataset_converters/cityscapes.py. To only try "
    'it: python tools/make_demo_data.py cityscapes data/cityscapes'
)
model = dict(data_preprocessor=dict(size=(512, 1024)))
train_dataloader = dict(batch_size=4, num_workers=4)

iters_per_epoch = 93  # 2975 images / 32
custom_hooks = [
    # The released decay 0.9999 is capped by (1 + t) / (10 + t).
    dict(
        type='EMAHook',
        ema_type='MomentumAnnealingEMA',
        momentum=1e-4,
        gamma=9,
        update_buffers=True,
    ),
    dict(
        type='ProgressiveShrinkHook',
        rho=1.4e-4,
        warmup=25 * iters_per_epoch,
        interval=10 * iters_per_epoch,
    ),
]
