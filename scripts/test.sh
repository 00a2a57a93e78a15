#!/usr/bin/env bash
# Installs what is missing, builds, and runs the tests: the short tier (under 12 minutes on two
# cores), or with --full everything, acceptance included. The last lines are ctest's summary.
set -euo pipefail

usage() {
  echo "usage: scripts/test.sh [--full]" >&2
  exit 2
}

tier=short
case "${1:-}" in
  "") ;;
  --full) tier=full ;;
  *) usage ;;
esac
[[ $# -le 1 ]] || usage

source "$(dirname "$0")/prepare.sh"

configure_cairn -DCAIRN_FULL_TESTS="$([[ $tier == full ]] && echo ON || echo OFF)"
build_cairn all
if [[ $tier == full ]]; then
  # The whole short tier once more, with AddressSanitizer and UndefinedBehaviorSanitizer (what the
  # preset leaves out is not about what programs do, or is about their memory); and what several
  # threads do, with ThreadSanitizer.
  for sanitizer in asan tsan; do
    (
      cd "$cairn_root"
      cmake --preset "$sanitizer"
      cmake --build --preset "$sanitizer" -j "$(nproc)"
      ctest --preset "$sanitizer" -j 2
    )
  done
fi
ctest --test-dir "$CAIRN_BUILD" --output-on-failure -j 2
