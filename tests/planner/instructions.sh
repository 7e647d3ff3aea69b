#!/bin/bash
# instructions.sh BENCHMARK: what it counts takes no more instructions than it says, whatever the machine and whatever
# else that does (bench.h). Without --count the benchmark tells the times.
# Exit: 0 passed, 1 failed, 77 there is no valgrind that understands this build.
set -u
command -v valgrind >/dev/null || exit 77
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

valgrind --tool=callgrind --toggle-collect=bench_counted --dump-after=bench_case_end \
    --callgrind-out-file="$work/count" "$1" --count >"$work/out" 2>"$work/err"
status=$?
! grep -q 'debuginfo reader' "$work/err" || exit 77 # valgrind too old for this compiler
[ $status = 0 ] || fail "exit $status: $(cat "$work/err")"
number=0 bad=0
while read -r most calls name; do
    number=$((number + 1))
    total=$(sed -n 's/^totals: //p' "$work/count.$number")
    [ "${total:-0}" -gt 0 ] || fail "$name: nothing was counted"
    echo "$name: $((total / calls)) instructions of at most $most"
    [ $((total / calls)) -le "$most" ] || bad=1
done <"$work/out"
[ $number -gt 0 ] || fail "no case was counted"
[ $bad = 0 ] || fail "more instructions than that"
