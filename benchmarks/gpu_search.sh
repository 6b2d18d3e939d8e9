#!/bin/sh
# What a GPU does with the paper's Cityscapes supernet: the tests that need one,
# then two searches with AMP, in MixConv's plain and memory-efficient training
# form: images per second and memory. Within ten minutes on a large GPU.
#
#   benchmarks/gpu_search.sh WORK_DIR [KEY=VALUE ...]
#
# KEY=VALUE are further --cfg-options, such as train_dataloader.batch_size=2.
set -eu
work=$1
shift
python -m pytest -n 0 tests/test_cuda.py
[ -d "$work/data" ] ||
    python tools/make_demo_data.py cityscapes "$work/data" \
        --train 32 --val 2 --size 1024 512
for form in False True; do
    python tools/train.py \
        configs/mmseg/hrnas-a_8xb4-40k_cityscapes-512x1024.py --amp \
        --work-dir "$work/memory_efficient_$form" --cfg-options \
        data_root="$work/data" model.backbone.memory_efficient=$form \
        train_cfg.max_iters=300 train_cfg.val_interval=300 \
        default_hooks.logger.interval=10 custom_hooks.1.warmup=20 \
        custom_hooks.1.interval=20 custom_hooks.1.begin=40 \
        custom_hooks.1.end=240 "$@"
done
python - "$work" <<'END'
import json
import statistics
import sys
from pathlib import Path

for folder in sorted(Path(sys.argv[1]).glob('memory_efficient_*')):
    *_, path = sorted(folder.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    steps = [line for line in lines if 'time' in line and 'loss' in line]
    count = max(1, len(steps) // 5)
    first, last = (
        statistics.median(line['time'] for line in part)
        for part in (steps[1 : 1 + count], steps[-count:])
    )
    memory = max(line.get('memory', 0) for line in steps)
    print(
        f'{folder.name}: {1e3 * first:.0f} ms an iteration at first, '
        f'{1e3 * last:.0f} ms at the end, {memory} MB at most'
    )
END
