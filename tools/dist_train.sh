#!/usr/bin/env bash
# Train or search in several processes, see launch.sh:
#
#   tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
set -euo pipefail
exec "$(dirname "$0")/launch.sh" "$2" train.py "$1" "${@:3}"
