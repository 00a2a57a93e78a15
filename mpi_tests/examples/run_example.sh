#!/usr/bin/env bash
# Runs an example in an empty directory, once on each of these numbers of ranks.
#   run_example.sh MPIEXEC DIRECTORY "RANKS..." PROGRAM [ARGUMENT...]
set -euo pipefail
mpiexec=$1 directory=$2 ranks=$3
rm -rf "$directory"
mkdir -p "$directory"
cd "$directory"
for n in $ranks; do "$mpiexec" --oversubscribe -n "$n" "${@:4}"; done
echo "example: ok"
