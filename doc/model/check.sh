#!/usr/bin/env bash
# Checks the ring's protocol with Spin: the model must hold over its whole state space in two sizes,
# and each rule of the protocol that is left out on purpose must be caught.
# About three minutes and 2 GB of memory. Needs spin and gcc.
set -euo pipefail

model="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/ring.pml"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
failed=0

# explore NAME DEFINES...: builds the verifier in a folder of its own and leaves its report there.
explore() {
  local name="$1"
  shift
  mkdir "$work/$name"
  (
    cd "$work/$name"
    spin -a "$@" "$model" >spin.txt
    # -w: the C text that Spin 6 generates has warnings of its own.
    gcc -w -O2 -DSAFETY -DCOLLAPSE -DMEMLIM=5000 -o pan pan.c
    # The verifier's exit code says nothing; its report does.
    timeout 900 ./pan -m100000 -w26 >report.txt 2>&1 || true
  )
}

figure() { sed -n "$2" "$work/$1/report.txt" | head -n 1; }
states() { figure "$1" 's/^ *\([0-9.e+]*\) states, stored.*/\1/p'; }
seconds() { figure "$1" 's/^pan: elapsed time \([0-9.]*\) seconds.*/\1/p'; }

report_bad() {
  echo "FAILED  $1: $2" >&2
  sed 's/^/        | /' "$work/$1/report.txt" >&2
  failed=1
}

# must_hold NAME DEFINES...: no error, nothing left unexplored, no step that was never taken.
must_hold() {
  local report="$work/$1/report.txt"
  explore "$@"
  if ! grep -q 'errors: 0$' "$report"; then
    report_bad "$1" "the model does not hold"
  elif grep -qiE 'search not completed|max search depth too small|out of memory|memory limit' \
    "$report" || ! grep -q '^pan: elapsed time' "$report"; then
    report_bad "$1" "the state space was not covered"
  elif [ "$(grep -cE '^[[:space:]]*\(0 of [0-9]+ states\)' "$report")" -ne 3 ]; then
    report_bad "$1" "some step was never taken"
  else
    echo "holds   $1: $(states "$1") states, $(seconds "$1") s"
  fi
}

# must_fail NAME DEFINES...: an assertion has to be violated, not just any error reported.
must_fail() {
  explore "$@"
  if grep -q 'assertion violated' "$work/$1/report.txt"; then
    echo "caught  $1: after $(states "$1") states"
  else
    report_bad "$1" "the mutation was not caught"
  fi
}

must_hold two-lanes
must_hold one-lane-long -DLANES=1 -DROOM=2 -DTRIES=5 -DPRODUCER_DEATHS=3 -DCONSUMER_DEATHS=2
must_hold two-histories \
  -DHISTORIES=2 -DLANES=1 -DROOM=2 -DTRIES=5 -DPRODUCER_DEATHS=1 -DCONSUMER_DEATHS=2
must_fail free-before-commit -DFREE_BEFORE_COMMIT -DPRODUCER_DEATHS=0
must_fail one-scan -DONE_SCAN
must_fail reap-unlocked -DREAP_UNLOCKED
must_fail trust-unsettled \
  -DTRUST_UNSETTLED -DHISTORIES=2 -DLANES=1 -DROOM=2 -DTRIES=3 -DPRODUCER_DEATHS=0
exit "$failed"
