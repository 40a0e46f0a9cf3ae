#!/usr/bin/env bash
# The main job, seen: a backlog of expired rows, the spike of the incident, the old ways and ours.
#   tools/demo.sh BUILD_DIR [ROWS] [SECONDS]
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$here/build}
rows=${2:-300000}
seconds=${3:-20}
replay=$build/tools/phlower-replay
capture=$here/tests/data/celery_events.ndjson
work=$(mktemp -d "${TMPDIR:-/tmp}/phlower-demo-XXXXXX")
ring=$(mktemp -u /dev/shm/phlower-demo-XXXXXX)
trap 'rm -rf "$work" "$ring"*' EXIT

say() { printf '\n%s\n' "$*"; }

say "Making a database with $rows expired rows ..."
"$replay" "$capture" --data "$work/backlog.db" --layout single --ring "$ring" \
  --make-backlog "$rows"
rm -f "$ring"

# The spike of the incident: 73,000 tasks a minute; the last run is four times that.
run() { # name rate options...
  local name=$1 rate=$2
  shift 2
  say "$name: $rate records/s for $seconds s"
  cp "$work/backlog.db" "$work/$name.db"
  "$replay" "$capture" --data "$work/$name.db" --ring "$ring" --rate "$rate" \
    --duration "${seconds}s" --producers 2 --json "$@" | tee "$work/$name.out" | sed '$d'
  tail -n 1 "$work/$name.out" >"$work/$name.json"
  rm -f "$ring" "$work/$name.db"*
}
run monolith 1217 --baseline monolith
run batch50k 1217 --baseline batch50k
run single 1217

# The default layout: the same backlog as a folder of segments, and what a person would ask of it.
segmented() { # name rate options...
  local name=$1 rate=$2
  shift 2
  say "$name: $rate records/s for $seconds s"
  "$replay" "$capture" --data "$work/$name" --ring "$ring" --rate "$rate" --backlog "$rows" \
    --duration "${seconds}s" --producers 2 --json "$@" | tee "$work/$name.out" | sed '$d'
  tail -n 1 "$work/$name.out" >"$work/$name.json"
  rm -f "$ring"
}
segmented segmented 1217
segmented segmented-x4 4868 --look-up 5
say "phlower-query count"
"$build/tools/phlower-query" count --data "$work/segmented-x4" --json | head -c 600
echo

say "Side by side"
python3 - "$work" monolith batch50k single segmented segmented-x4 <<'PY'
import json, sys
work, names = sys.argv[1], sys.argv[2:]
runs = {name: json.load(open(f"{work}/{name}.json")) for name in names}
rows = [
    ("records/s committed", lambda r: f"{r['committed'] / r['elapsed_s']:,.0f}"),
    ("refused", lambda r: f"{r['refused']:,}"),
    ("rows, details purged", lambda r: f"{r['purged'] + r['purged_details']:,}"),
    ("age at commit, worst", lambda r: f"{r['flush_age_ms']['max']:,.0f} ms"),
    ("write lock held, worst", lambda r: f"{r['hold_ms']['max']:,.0f} ms"),
    ("memory, largest", lambda r: f"{r['rss_bytes_max'] / 2**20:,.0f} MiB"),
    ("both sums hold", lambda r: "yes" if r["sums_hold"] else "NO"),
]
print(f"{'':26}" + "".join(f"{name:>14}" for name in names))
for title, cell in rows:
    print(f"{title:26}" + "".join(f"{cell(runs[name]):>14}" for name in names))
PY
