#!/bin/bash
# swap_instructions.sh BENCH_SWAP: scoring all pairs takes no more than a counted number of instructions, whatever the
# machine and whatever else it does. About 1 ms on a core of 2023; bench_swap shows the time itself.
# Exit: 0 passed, 1 failed, 77 there is no valgrind that understands this build.
set -u
layers=3 tokens=64
routings=(uniform)
most=(5500000 7500000 9500000) # a choice, by objective; today 4.1, 5.6 and 6.7 million with GCC 12
command -v valgrind >/dev/null || exit 77
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

valgrind --tool=callgrind --toggle-collect=choose_timed --dump-after=case_end --callgrind-out-file="$work/count" \
    "$1" $layers $tokens "${routings[@]}" >"$work/out" 2>"$work/err"
status=$?
! grep -q 'debuginfo reader' "$work/err" || exit 77 # valgrind too old for this compiler
[ $status = 0 ] || fail "exit $status: $(cat "$work/err")"
cases=$(wc -l <"$work/out") bad=0
[ "$cases" = $((6 * ${#routings[@]})) ] || fail "$cases cases: $(cat "$work/out")"
for ((i = 1; i <= cases; i++)); do
    name=$(sed -n "${i}s/:[^:]*$//p" "$work/out")
    total=$(sed -n 's/^totals: //p' "$work/count.$i")
    [ "${total:-0}" -gt 0 ] || fail "$name: nothing was counted"
    bound=${most[${name##* }]}
    echo "$name: $((total / layers)) instructions of at most $bound"
    [ $((total / layers)) -le "$bound" ] || bad=1
done
[ $bad = 0 ] || fail "more instructions than that"
