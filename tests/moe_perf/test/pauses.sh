#!/usr/bin/env bash
# pauses.sh MOE_PERF: --between pauses before every exchange, and is no part of its time.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
start=$(date +%s%N)
RANK=0 WORLD_SIZE=1 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 "$1" --iters 8 --warmup 2 --tokens 64 --hidden 64 --experts 8 --topk 2 \
    --between 400 --id-file "$folder/id" --json "$folder/json" >"$folder/said"
took=$((($(date +%s%N) - start) / 1000000))
[ $took -ge 4000 ] || { echo "ten exchanges with a pause of 400 ms each took $took ms" >&2; exit 1; }
# Were pauses timed, every exchange would take that long; a busy machine may hold up one or another.
python3 - "$folder/json" <<'END'
import json, sys
said = json.load(open(sys.argv[1]))
shortest = min(said["results"]["dispatch"]["ms"]["all"])
sys.exit(None if shortest < 400 else f"no exchange took less than {shortest} ms: their pauses were timed")
END
