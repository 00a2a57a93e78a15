#!/usr/bin/env bash
# Trains a small language model on four ranks, kills it in the middle of a save, and goes on from
# what is left; stops it by a signal, and goes on from where it was: on four ranks bit for bit, on two
# and on three as well. Ends with "demo: ok".
#   scripts/demo.sh [TEXT FILE]
set -euo pipefail
# shellcheck source=scripts/prepare.sh
source "$(dirname "${BASH_SOURCE[0]}")/prepare.sh"

text=${1:-/usr/share/common-licenses/GPL-3}
steps=600        # of the whole training
save_every=100
killed_at=400    # a step that is saved
restored_at=300  # the save before it
signalled_at=350 # a line of progress, and no save
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

heading() {
  if [[ -t 1 ]]; then printf '\n\e[1m== %s\e[0m\n\n' "$1"; else printf '\n== %s\n\n' "$1"; fi
}
check() { printf '   ✓ %s\n' "$1"; }
fail() {
  printf 'demo: failed: %s\n' "$1" >&2
  exit 1
}

# train RANKS DIRECTORY LOG [OPTION...]: its loss log is $work/LOG.loss.
# Its mpirun's process id is in $work/LOG.pid.
train() {
  local count=$1 directory=$2 log=$3
  shift 3
  ranks "$count" --report-pid "$work/$log.pid" "$CAIRN_BUILD/examples/train_text" --text "$text" --dir "$work/$directory" \
    --loss-log "$work/$log.loss" --save-every "$save_every" --show-every 50 "$@"
}

# Fails unless the log LOG begins with step restored_at + 1.
expect_restored() {
  local first
  read -r first _ <"$work/$1.loss"
  [[ $first -eq $((restored_at + 1)) ]] ||
    fail "the run '$1' went on with step $first instead of $((restored_at + 1))"
}

heading "Building"
build_cairn train_text

heading "1. Four ranks, never interrupted: what is right"
train 4 reference reference --steps "$steps" || fail "the run on 4 ranks ended with an error"

heading "2. The same again, but SIGKILL arrives while the save of step $killed_at moves its data"
status=0
train 4 checkpoints killed --steps "$steps" --kill-at "$killed_at:moving" || status=$?
[[ $status -eq $((128 + 9)) ]] || fail "the run was not killed by SIGKILL: status $status"
echo
echo "What it left behind:"
ls -la "$work/checkpoints"
[[ ! -e $work/checkpoints/text-1_$killed_at.h5 ]] ||
  fail "the interrupted save bears the name of a checkpoint"
[[ -e $work/checkpoints/text-1_$restored_at.h5 ]] || fail "the save before it is gone"
check "step $killed_at is not among the checkpoints, step $restored_at is"
cp -a "$work/checkpoints" "$work/on2"
cp -a "$work/checkpoints" "$work/on3"

heading "3. Four ranks go on, until SIGUSR1 comes: they save where they are, and stop"
mkfifo "$work/progress"
train 4 checkpoints resumed --steps "$steps" >"$work/progress" &
job=$!
while IFS= read -r line; do
  printf '%s\n' "$line"
  read -r word _ <<<"$line"
  if [[ $word == "$signalled_at" ]]; then kill -USR1 "$(<"$work/resumed.pid")"; fi
done <"$work/progress"
wait "$job" || fail "4 ranks cannot go on, or do not stop well"
expect_restored resumed
stopped_at=$(tail -n 1 "$work/resumed.loss" | cut -d ' ' -f 1)
[[ $stopped_at -lt $steps ]] || fail "the signal stopped nothing"
breakpoint=text-1_${stopped_at}_breakpoint.h5
[[ -e $work/checkpoints/$breakpoint ]] || fail "$breakpoint is missing"
check "stopped after step $stopped_at, with $breakpoint"

heading "4. They go on from there: every loss must have the bits of the first run"
train 4 checkpoints resumed --steps "$steps" | tee "$work/last.txt" || fail "4 ranks cannot go on"
grep -q "^restored   $breakpoint: step $stopped_at," "$work/last.txt" ||
  fail "they did not go on from the breakpoint"
awk -v from="$restored_at" '$1 > from' "$work/reference.loss" | cmp - "$work/resumed.loss" ||
  fail "losses differ from those of the uninterrupted run"
check "$((steps - restored_at)) losses, bit for bit"

heading "5. Two ranks, and three, go on from copies of the same directory"
for count in 2 3; do
  train "$count" "on$count" "on$count" --steps $((restored_at + save_every)) --show-every 20 ||
    fail "$count ranks cannot go on"
  expect_restored "on$count"
  /usr/bin/python3 - "$count" "$work/reference.loss" "$work/on$count.loss" <<'EOF' ||
import sys

count, *paths = sys.argv[1:]
reference, resumed = ([line.split() for line in open(path)] for path in paths)
step, loss = resumed[0]
expected = float.fromhex(dict(reference)[step])
apart = abs(float.fromhex(loss) - expected) / expected
print(f"\n   step {step}: {float.fromhex(loss):.9f} on {count} ranks, {expected:.9f} on 4")
sys.exit(apart > 1e-3)
EOF
    fail "the first loss on $count ranks is off by more than a thousandth"
  check "less than a thousandth apart"
  echo
done

heading "6. The newest checkpoint, as HDF5's own tools see it"
newest=$work/checkpoints/text-1_$steps.h5
[[ -e $newest ]] || fail "the checkpoint of step $steps is missing"
h5ls -r "$newest" >"$work/h5ls.txt" || fail "h5ls does not read the checkpoint"
head -n 24 "$work/h5ls.txt"

echo
echo "demo: ok"
