#!/bin/bash
# bench.sh [BUILD]: what the library adds to a call that is left alone (the goal is 100 ns) and to starting a program.
# Times, so on a machine that does nothing else; pass_instructions and start_instructions hold the bounds in every run.
set -eu
build=$(realpath "${1:-build}")
bin=$build/tests/preload lib=$build/tests/preload/libhiermoe_double.so
paste <("$bin/pass_cost") <(LD_PRELOAD=$lib "$bin/pass_cost") |
    awk '{ printf "%s: %s ns plain, %s ns preloaded, added %.1f ns\n", $1, $2, $4, $4 - $2 }'
"$bin/spawn_cost" "$lib" /bin/ls /
