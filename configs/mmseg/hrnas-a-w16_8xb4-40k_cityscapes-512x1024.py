# HR-NAS-A on Cityscapes from a supernet whose branches have 16-32-64-128
# channels in place of the paper's 18-36-72-144: multiples of what runtimes
# compute at once, so that deployment has nothing to round up
# (docs/deploy.md). Not in the paper.
#
#   tools/dist_train.sh configs/mmseg/hrnas-a-w16_8xb4-40k_cityscapes-512x1024.py 8
_base_ = 'hrnas-a_8xb4-40k_cityscapes-512x1024.py'
channels = 80  # of the joined map: a third of all branches' 240
model = dict(
    backbone=dict(
        stem_channels=(16, 16),
        stages=(
            dict(num_blocks=(1,), num_channels=(16,)),
            dict(num_blocks=(2, 2), num_channels=(16, 32)),
            dict(num_blocks=(2, 2, 3), num_channels=(16, 32, 64)),
            dict(num_blocks=(2, 2, 3, 4), num_channels=(16, 32, 64, 128)),
            dict(num_blocks=(2, 2, 3, 4), num_channels=(16, 32, 64, 128)),
        ),
        fuse_channels=channels,
    ),
    decode_head=dict(in_channels=channels, channels=channels),
)
