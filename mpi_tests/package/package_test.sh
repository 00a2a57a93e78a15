#!/usr/bin/env bash
# Installs the build to a prefix of its own, and builds and runs a stranger's project against it.
#   package_test.sh BUILD_DIR SOURCE_DIR MPIEXEC
set -euo pipefail
build=$1 source=$2 mpiexec=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >/dev/null
cmake -S "$source" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/build" >/dev/null
"$mpiexec" --oversubscribe -n 2 "$work/build/stranger" "$work/checkpoints"
