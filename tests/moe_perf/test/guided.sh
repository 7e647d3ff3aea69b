#!/usr/bin/env bash
# guided.sh MOE_PERF LIBRARY [RUNTIME]: all four directions announced to the library, every call carried out by what was announced.
# RUNTIME: a sanitizer's, which has to be loaded before the library.
set -eu
perf=$1 preload=${3:+$3:}$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# run NAME OPTION...: eight ranks on four made-up nodes; the counters of rank 0 go to $folder/NAME.
run() {
    local name=$1
    shift
    HIERMOE_MODE=guided HIERMOE_VERIFY=all HIERMOE_TOPO=4,2 HIERMOE_MIN_BYTES=0 HIERMOE_TRUST=moe_perf_all_to_all_v \
        HIERMOE_TEST_PATIENCE=1000000000 HIERMOE_STATS_FILE=$folder/stats.$name.%r LOCAL_WORLD_SIZE=2 \
        bash "$(dirname "$0")/run_ranks.sh" 8 0 900 env LD_PRELOAD="$preload" "$perf" --guided --direction all \
        --tokens 64 --hidden 96 --experts 16 --topk 4 --iters 4 --warmup 2 --timeout 600 --json "$folder/json" "$@"
    tail -n 1 "$folder/stats.$name.0" >"$folder/$name"
}

# counted NAME KEY NUMBER
counted() {
    grep -q "\"$2\": $3," "$folder/$1" || { echo "$1: expected $2 to be $3:" && cat "$folder/$1"; exit 1; }
}

for depth in 1 2; do
    for type in bf16 fp16 fp32; do
        HIERMOE_DEPTH=$depth run "$type$depth" --dtype $type --layers 2
        counted $type$depth guided_calls 42 # and as many dispatches as there are other calls
        counted $type$depth misannounced_calls 0
        grep -q '"max_error_ulp":' "$folder/json"
    done
done
HIERMOE_DEPTH=2 run padded --pattern deepspeed --tokens-of 3:0
counted padded guided_calls 42
# A dispatch that is left alone takes the calls after it with it.
HIERMOE_DEPTH=0 run alone
counted alone guided_calls 0
