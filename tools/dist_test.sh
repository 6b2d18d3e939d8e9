#!/usr/bin/env bash
# Evaluate in several processes, see launch.sh:
#
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
set -euo pipefail
exec "$(dirname "$0")/launch.sh" "$3" test.py "$1" "$2" "${@:4}"
