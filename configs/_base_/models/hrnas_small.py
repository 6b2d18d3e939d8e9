# A supernet that trains in minutes on a CPU, for backbone=dict(**_base_.small).
small = dict(
    stem_channels=(16, 16),
    stages=(
        dict(num_blocks=(1,), num_channels=(12,)),
        dict(num_blocks=(1, 1), num_channels=(12, 24)),
        dict(num_blocks=(1, 1, 1), num_channels=(12, 24, 48)),
    ),
    expand_ratio=2,
    num_tokens=8,
)
