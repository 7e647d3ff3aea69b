#!/usr/bin/env bash
# Runs RANKS copies of a command with the variables that torchrun sets, all on this host, at most SECONDS long.
#
#   run_ranks.sh RANKS EXPECTED SECONDS COMMAND [ARG ...]
#
# Succeeds if rank 0 exits with EXPECTED, and every other rank too.
set -u
ranks=$1 expected=$2 seconds=$3
shift 3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export WORLD_SIZE=$ranks LOCAL_WORLD_SIZE=${LOCAL_WORLD_SIZE:-$ranks} MOE_PERF_ID_FILE=$folder/id
pids=() status=0
for ((r = 0; r < ranks; r++)); do
    RANK=$r LOCAL_RANK=$((r % LOCAL_WORLD_SIZE)) timeout -k 2 "$seconds" "$@" &
    pids+=($!)
done
for ((r = 0; r < ranks; r++)); do
    got=0
    wait "${pids[r]}" || got=$?
    [ $got = "$expected" ] || { echo "rank $r: expected exit status $expected, got $got" >&2; status=1; }
done
exit $status
