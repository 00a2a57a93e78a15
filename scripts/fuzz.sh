#!/usr/bin/env bash
# Builds the fuzzers with clang++ and runs each for a while, from seeds that the project writes and
# the inputs in mpi_tests/fuzz/corpus. Ends with 1 where one finds something, 77 without clang++ or
# its libFuzzer.
#   CAIRN_FUZZ_BUILD  where to build and to keep what was found, build/fuzz by default
#   CAIRN_FUZZ_SEEDS  the program that writes seeds, where it is built already
set -euo pipefail

usage() {
  echo "usage: scripts/fuzz.sh [--seconds N] [TARGET...]" >&2
  exit 2
}

root=$(cd "$(dirname "$0")/.." && pwd)
seconds=60
targets=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    --seconds)
      [[ ${2:-} =~ ^[0-9]+$ ]] || usage
      seconds=$2
      shift
      ;;
    fuzz_*) targets+=("$1") ;;
    *) usage ;;
  esac
  shift
done
if [[ ${#targets[@]} -eq 0 ]]; then
  for source in "$root"/mpi_tests/fuzz/fuzz_*.cpp; do targets+=("$(basename "$source" .cpp)"); done
fi

has_fuzzer() {
  command -v clang++ >/dev/null || return 1
  clang++ -x c++ -fsanitize=fuzzer,address,undefined -o /dev/null - 2>/dev/null <<'EOF'
extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }
EOF
}
if ! has_fuzzer; then
  echo "SKIPPED: no fuzzer ran. This needs clang++ with libFuzzer and its sanitizers;" >&2
  echo "         in Debian: apt-get install clang libclang-rt-dev" >&2
  exit 77
fi

if [[ -z ${CAIRN_FUZZ_SEEDS:-} ]]; then
  source "$root/scripts/prepare.sh"
  build_cairn fuzz_seeds
  CAIRN_FUZZ_SEEDS=$CAIRN_BUILD/fuzz_seeds
fi
build=${CAIRN_FUZZ_BUILD:-${CAIRN_BUILD:-$root/build}/fuzz}

# One build at a time: tests may run next to each other.
mkdir -p "$build"
(
  flock 9
  cmake -S "$root/mpi_tests/fuzz" -B "$build" -DCMAKE_CXX_COMPILER=clang++ >/dev/null
  cmake --build "$build" -j 2 --target "${targets[@]}"
  "$CAIRN_FUZZ_SEEDS" "$build/seeds"
) 9>"$build/lock"

# What hostile bytes may cost: 10 seconds, 256 MiB at once, 1 GiB in all.
run_target() {
  local target=$1 known=() status=0
  # A target without seeds of its own begins with nothing.
  mkdir -p "$build/found/$target" "$build/corpus/$target" "$build/seeds/$target"
  [[ -d $root/mpi_tests/fuzz/corpus/$target ]] && known=("$root/mpi_tests/fuzz/corpus/$target")
  "$build/$target" -seed=1 -max_total_time="$seconds" -timeout=10 -malloc_limit_mb=256 \
    -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$build/found/$target/" \
    "$build/corpus/$target" "$build/seeds/$target" "${known[@]}" >"$build/$target.log" 2>&1 ||
    status=$?
  grep -E 'ERROR|SUMMARY|artifact_prefix|stat::(number_of_executed|slowest|peak)' \
    "$build/$target.log" || true
  return "$status"
}

failed=()
for target in "${targets[@]}"; do
  echo "$target: $seconds s"
  run_target "$target" || failed+=("$target")
done
if [[ ${#failed[@]} -gt 0 ]]; then
  echo "found something: ${failed[*]}; see $build/found and the logs in $build" >&2
  exit 1
fi
