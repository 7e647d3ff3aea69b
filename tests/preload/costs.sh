# costs.sh: the cases of run.sh, which sources it, that count what the library adds to calls left alone.

# counted NAME OPTION... PROGRAM...: under callgrind, with LD_PRELOAD=$preload; leaves $work/NAME.{count*,out}. Skips the
# test where valgrind is missing or too old for this compiler.
counted() {
    local name=$1; shift
    command -v valgrind >/dev/null || exit 77
    LD_PRELOAD=$preload valgrind --tool=callgrind --callgrind-out-file="$work/$name.count" "$@" >"$work/$name.out" 2>"$work/$name.err"
    local status=$?
    ! grep -q 'debuginfo reader' "$work/$name.err" || exit 77
    [ $status = 0 ] || fail "$name: exit $status: $(cat "$work/$name.err")"
}
total() { sed -n 's/^totals: //p' "$work/$1"; }

# What the library adds to a call that is left alone, in instructions; bench.sh tells the times.
case_pass_instructions() {
    [ -z "${EXTRA-}" ] || exit 77
    local calls=1000 i=0 kind added most
    for preload in '' "$LIB"; do
        counted "pass${preload:+_shim}" --toggle-collect=calls_counted --dump-after=calls_counted "$BIN/pass_cost" $calls
    done
    for most in allreduce:100 send:140 putsignal:115 group:1250; do
        i=$((i + 1)) kind=$(sed -n "${i}p" "$work/pass.out")
        [ "$kind" = "${most%:*}" ] || fail "kind $i is '$kind', expected ${most%:*}"
        added=$((($(total pass_shim.count.$i) - $(total pass.count.$i)) / calls))
        echo "$kind: $added instructions added, at most ${most#*:}"
        [ $added -gt 0 ] && [ $added -le "${most#*:}" ] || fail "$added instructions added to $kind"
    done
}

# And to starting a program that does not use NCCL.
case_start_instructions() {
    [ -z "${EXTRA-}" ] || exit 77
    for preload in '' "$LIB"; do counted "start${preload:+_shim}" /bin/ls /; done
    added=$(($(total start_shim.count) - $(total start.count)))
    echo "$added instructions added to the start of a program"
    [ $added -gt 0 ] && [ $added -le 250000 ] || fail "$added instructions"
}

# No malloc, no lock and no system call on the way of a call that is left alone.
case_pass_quietly() {
    [ -z "${EXTRA-}" ] || exit 77
    LD_PRELOAD=$LIB "$BIN/pass_quiet" || fail "exit $?"
}
