#!/usr/bin/env bash
# Makes the API reference, OUTPUT/html/index.html, by Doxygen; a warning is an error. Without Doxygen
# (200 MB with what it needs, hence not in prepare.sh) it says so and exits with 77.
#   scripts/api_reference.sh OUTPUT
set -euo pipefail
output=$(realpath -m "${1:?usage: scripts/api_reference.sh OUTPUT}")
if ! command -v doxygen >/dev/null; then
  echo "SKIPPED: doxygen is not installed, so nobody checked the API reference" >&2
  exit 77
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p "$output"
doxygen - <<<"@INCLUDE = docs/Doxyfile
OUTPUT_DIRECTORY = \"$output\""
echo "$output/html/index.html"
