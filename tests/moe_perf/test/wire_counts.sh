#!/usr/bin/env bash
# On two emulated nodes the benchmark's wire bytes are the rows that leave a node, plus a few per cent of headers.
#
#   wire_counts.sh MOE_PERF NETNS
set -eu
perf=$1 netns=$2 folder=$(mktemp -d) prefix=wire$$
trap '"$netns" down --prefix "$prefix"; rm -rf "$folder"' EXIT
"$netns" up --nodes 2 --rate 1gbit --prefix "$prefix" --owner $$
pids=()
for r in 0 1 2 3; do
    timeout -k 2 900 "$netns" exec --prefix "$prefix" $((r / 2)) env RANK=$r WORLD_SIZE=4 LOCAL_RANK=$((r % 2)) \
        LOCAL_WORLD_SIZE=2 MOE_PERF_ID_FILE="$folder/id" "$perf" --tokens 512 --hidden 512 --experts 16 --topk 4 \
        --iters 5 --warmup 1 --timeout 600 --json "$folder/json" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
python3 - "$folder/json" <<'CHECK'
import json
import sys

report = json.load(open(sys.argv[1]))
wire, unique = report["results"]["dispatch"]["wire"], report["unique"]["bytes"]
print("wire", wire["bytes"], "off node", unique["off_node"], "hosts", wire["hosts"])
assert [host["node"] for host in wire["hosts"]] == [0, 1], "expected one reader per node"
assert 1 <= wire["bytes"] / unique["off_node"] < 1.05, "expected the rows and their headers on the wire"
assert all(0.98 < host["rx"] / other["tx"] < 1.02 for host, other in zip(wire["hosts"], wire["hosts"][::-1]))
CHECK
