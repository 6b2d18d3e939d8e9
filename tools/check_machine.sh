#!/usr/bin/env bash
# Stops the set-up with one clear line if this machine cannot do it.
python=$1
stack=${2:-openmmlab}
newest=12
[ "$stack" = onedl ] && newest=13
if ! command -v "$python" > /dev/null; then
    echo "No interpreter '$python'; choose one: PYTHON=python3.11 make setup" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, '"$newest"'))'; then
    echo "Python 3.10 to 3.$newest is needed, '$python' is $("$python" -V 2>&1 | head -n 1); choose one: PYTHON=python3.11 make setup" >&2
    exit 1
fi
if ! command -v "${CXX:-c++}" > /dev/null; then
    echo "No C++ compiler '${CXX:-c++}', which mmcv needs; on Debian and Ubuntu: apt-get install g++ (or name one: CXX=clang++ make setup)" >&2
    exit 1
fi
