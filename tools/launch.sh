#!/usr/bin/env bash
# Run a script of this folder in several processes, one per GPU (or on the
# CPU); dist_train.sh and dist_test.sh call it:
#
#   tools/launch.sh GPUS SCRIPT [arguments of the script]
#
# On several machines set NNODES, NODE_RANK, MASTER_ADDR and PORT.
set -euo pipefail

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$1" \
    "$(dirname "$0")/$2" --launcher pytorch "${@:3}"
