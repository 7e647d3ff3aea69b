#!/bin/bash
# run.sh CASE: one test of the preloaded library, in front of the recording stand-in NCCL. CMake sets
#   BIN     where the test programs and plugins lie
#   LIB     the library under test (with double.c behind it)
#   FULL    the library as users have it
#   EXTRA   libraries to preload before it (a sanitizer's run time)
#   CALLS   calls.def
# Exit: 0 passed, 1 failed, 77 skipped.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS-}
unset ${!HIERMOE_@}

fail() { echo "FAILED: $*"; exit 1; }

# play NAME [VAR=value...] -- command: runs it, leaves $work/NAME.{calls,out,err}
play() {
    local name=$1; shift
    local vars=()
    while [ "$1" != -- ]; do vars+=("$1"); shift; done
    shift
    rm -f "$work/$name".*
    : >"$work/$name.calls"
    env FAKE_NCCL_LOG="$work/$name.calls" "${vars[@]}" timeout 900 "$@" >"$work/$name.out" 2>"$work/$name.err" ||
        fail "$name: exit $? of $*: $(cat "$work/$name.err")"
}
shim() { local name=$1; shift; play "$name" LD_PRELOAD="${EXTRA:+$EXTRA:}$LIB" "$@"; }
plain() { local name=$1; shift; play "$name" LD_PRELOAD="${EXTRA-}" "$@"; }
same() { diff "$work/$1" "$work/$2" >"$work/diff" || fail "$3: $(head -20 "$work/diff")"; }
count() { grep -c -- "$2" "$work/$1"; }
expect() { # FILE PATTERN NUMBER
    [ "$(count "$1" "$2")" = "$3" ] || fail "$3 lines with '$2' expected in $1: $(cat "$work/$1")"
}

# NCCL sees the same calls in the same order, and the job the same results, whatever we stand in front of.
case_order() {
    local scene n=0
    for scene in $("$BIN/job" list "$BIN/plugin_linked.so"); do
        for vars in A=1 NCCL_COMM_BLOCKING=0 FAKE_NCCL_LAZY=1 FAKE_NCCL_FAIL=ncclAllReduce:1:2 \
                    FAKE_NCCL_FAIL=ncclGroupEnd:2:3 FAKE_NCCL_FAIL=ncclCommInitRank:2:2; do
            plain plain $vars -- "$BIN/job" $scene "$BIN/plugin_linked.so"
            shim shim $vars HIERMOE_TRUST=shape -- "$BIN/job" $scene "$BIN/plugin_linked.so"
            same plain.calls shim.calls "calls of $scene $vars"
            # The end of an inner group reaches NCCL with the outermost one, and so does its error.
            case $vars in *ncclGroupEnd*) for out in plain shim; do sort -o "$work/$out.out" "$work/$out.out"; done ;; esac
            same plain.out shim.out "results of $scene $vars"
            [ -s "$work/plain.calls" ] || fail "$scene makes no calls"
            n=$((n + 1))
        done
    done
    [ $n -ge 90 ] || fail "only $n comparisons"
    echo "$n scenes alike"
}

# An error that NCCL would have given at ncclSend comes, like NCCL's stored one, at the end of the group.
case_error_at_end() {
    plain plain FAKE_NCCL_FAIL=ncclSend:2:2 -- "$BIN/job" all2all "$BIN/plugin_linked.so"
    shim shim FAKE_NCCL_FAIL=ncclSend:2:2 -- "$BIN/job" all2all "$BIN/plugin_linked.so"
    same plain.calls shim.calls calls
    expect plain.out 'ncclGroupEnd() = 2' 1
    expect shim.out 'ncclGroupEnd() = 2' 1
    expect shim.out 'ncclGroupEnd() = 0' 1
}

case_replaced() {
    shim all HM_DOUBLE=replace -- "$BIN/job" all2all "$BIN/plugin_linked.so"
    expect all.calls 'REPLACED comm 100 rank 1 of 4, 608 bytes out, 1612 in, last to 4099 from 4163' 1
    expect all.calls 'REPLACED comm 100 rank 1 of 4, 304 bytes out, 806 in' 1
    expect all.calls 'ncclSend\|ncclRecv' 0
    shim named HM_DOUBLE=replace -- "$BIN/job" named "$BIN/plugin_linked.so"
    expect named.calls 'REPLACED comm 100 rank 1 of 4, 128 bytes out, 128 in, last to 4192 from 5216' 4
    expect named.calls 'REPLACED comm 100 rank 1 of 4, 56 bytes out, 56 in, last to 4120 from 5144' 1
    expect named.calls REPLACED 5
    shim init HM_DOUBLE=replace FAKE_NCCL_LAZY=1 -- "$BIN/job" init_in_group "$BIN/plugin_linked.so"
    for who in '0 of 3' '1 of 4' '2 of 5' '3 of 6' '1 of 3' '2 of 3'; do expect init.calls "REPLACED.* rank $who," $([ "$who" = '0 of 3' ] && echo 2 || echo 1); done
    shim again HM_DOUBLE=replace -- "$BIN/job" handle_again "$BIN/plugin_linked.so"
    expect again.calls REPLACED 2
    expect again.calls 'REPLACED comm 101 rank 2 of 3,' 1
    shim ends HM_DOUBLE=replace -- "$BIN/job" ends "$BIN/plugin_linked.so"
    expect ends.calls REPLACED 2
    shim blocking HM_DOUBLE=replace -- "$BIN/job" non_blocking "$BIN/plugin_linked.so"
    expect blocking.calls REPLACED 0
    shim nested HM_DOUBLE=replace -- "$BIN/job" nested "$BIN/plugin_linked.so"
    expect nested.calls REPLACED 2
}

# HIERMOE_MODE=off still leads to call_run: the other ranks must hear of it.
case_no_back_end_is_said_once() {
    ldconfig -p | grep -q libcuda.so.1 && exit 77
    LIB=$FULL
    plain plain -- "$BIN/job" all2all "$BIN/plugin_linked.so"
    shim shim HIERMOE_TRUST=shape HIERMOE_STATS_FILE="$work/stats" -- "$BIN/job" all2all "$BIN/plugin_linked.so"
    same plain.calls shim.calls calls
    expect shim.err 'calls are left alone: ' 1
    grep -q '"no_back_end": [2-9]' "$work/stats" || fail "several calls left alone expected: $(cat "$work/stats")"
}

case_mode_off() {
    shim off HM_DOUBLE=replace HIERMOE_MODE=off -- "$BIN/job" all2all "$BIN/plugin_linked.so"
    expect off.calls REPLACED 2
}

case_reenter() {
    shim in HM_DOUBLE=reenter HIERMOE_TRUST=shape -- "$BIN/job" all2all "$BIN/plugin_linked.so"
    expect in.calls 'REPLACED comm 100 rank 1 of 4, 608 bytes out' 1
    expect in.calls 'ncclSend 119 7 0 0 100' 2
}

# How plugins come to their NCCL (frameworks: wheels, conda, source builds).
linker() { # NAME PREFIX REPLACED SPEC...
    local name=$1 prefix=$2 replaced=$3; shift 3
    shim "$name" HM_DOUBLE=replace HIERMOE_DEBUG=INFO -- "$BIN/job" all2all "$@"
    expect "$name.calls" "^$prefix REPLACED" "$replaced"
    [ "$replaced" != 0 ] || expect "$name.calls" "^$prefix ncclGroupEnd" 2
}
case_local() { linker local A 2 "local:$BIN/plugin_linked.so"; }
case_global() { linker global A 2 "global:$BIN/plugin_linked.so"; }
case_now() { linker now A 2 "now:$BIN/plugin_now.so"; }
case_static() { linker static B 2 "local:$BIN/plugin_static.so"; expect static.err 'in front of NCCL 2.31.0: .*plugin_static.so' 1; }
case_descendant() { linker descendant D 2 "local:$BIN/plugin_descendant.so"; }
case_unlinked() { linker unlinked A 2 "local:$BIN/plugin_linked.so" ; shim unlinked HM_DOUBLE=replace -- "$BIN/job" all2all "global:$BIN/plugin_linked.so" "local:$BIN/plugin_unlinked.so"; expect unlinked.calls '^A REPLACED' 4; }
# Known limits: these bind past every preloaded library.
case_deepbind_is_not_seen() { [ -z "${EXTRA-}" ] || exit 77; linker deepbind A 0 "deepbind:$BIN/plugin_linked.so"; }
case_bsymbolic_is_not_seen() { linker bsymbolic B 0 "local:$BIN/plugin_bsymbolic.so"; }

case_two_copies() {
    shim two HM_DOUBLE=replace HIERMOE_DEBUG=INFO -- "$BIN/job" all2all "$BIN/plugin_linked.so" "$BIN/plugin_static.so"
    expect two.calls '^A REPLACED' 2
    expect two.calls '^B REPLACED' 2
    expect two.calls '^A ncclCommInitRank' 1
    expect two.calls '^B ncclCommInitRank' 1
    expect two.err 'in front of NCCL' 2
    plain plain -- "$BIN/job" second "$BIN/plugin_linked.so" "$BIN/plugin_static.so"
    shim shim -- "$BIN/job" second "$BIN/plugin_linked.so" "$BIN/plugin_static.so"
    same plain.calls shim.calls "calls with two copies"
}

# A communicator handed from one plugin to another stays with the NCCL that made it.
case_cross_copies() {
    shim cross -- "$BIN/job" cross "$BIN/plugin_linked.so" "$BIN/plugin_static.so"
    expect cross.calls '^A ncclSend' 8
    expect cross.calls '^A ncclGroupEnd' 2
    expect cross.calls '^A ncclAllReduce' 2
    expect cross.calls '^B nccl[^G]' 0 # it hears of the group's start, and at once of its end
}

case_nccl_lib() {
    shim lib HM_DOUBLE=replace HIERMOE_NCCL_LIB="$BIN/libother_nccl.so" -- "$BIN/job" all2all "$BIN/plugin_static.so"
    expect lib.calls '^C REPLACED' 2
    shim bad HM_DOUBLE=replace HIERMOE_NCCL_LIB=/no/such.so -- "$BIN/job" all2all "$BIN/plugin_static.so" "$BIN/plugin_linked.so"
    expect bad.calls '^[AB] REPLACED' 4
    expect bad.err 'HIERMOE_NCCL_LIB=/no/such.so is not used' 1
}

# Said with the first call, whatever is called from where afterwards.
case_complaints() {
    shim complaints SCENES_RANK=0 HIERMOE_DEPTH=nine HIERMOE_MOED=off -- "$BIN/job" all2all "$BIN/plugin_linked.so" "$BIN/plugin_static.so"
    expect complaints.err 'HIERMOE_DEPTH=nine is not understood' 1
    expect complaints.err 'HIERMOE_MOED is not a setting, did you mean HIERMOE_MODE' 1
}

# A FIFO that nobody reads, where files are expected: nothing waits for a reader, and the job is told once.
case_fifos() {
    mkfifo "$work/fifo" || fail mkfifo
    plain plain -- "$BIN/job" second "$BIN/plugin_linked.so"
    shim shim HM_DOUBLE=refuse HIERMOE_DEBUG=INFO HIERMOE_DEBUG_FILE="$work/fifo" HIERMOE_STATS_FILE="$work/fifo" -- \
        "$BIN/job" second "$BIN/plugin_linked.so"
    same plain.calls shim.calls calls
    expect shim.err "HIERMOE WARN HIERMOE_DEBUG_FILE=$work/fifo: it is no regular file; stderr is used instead" 1
    expect shim.err "HIERMOE WARN HIERMOE_STATS_FILE=$work/fifo: it is no regular file" 1
    expect shim.err 'in front of NCCL' 1
}

case_no_nccl() {
    shim none -- "$BIN/job" empty "$BIN/plugin_unlinked.so"
    expect none.out ' = 3' 6
    expect none.err 'no NCCL found behind .*plugin_unlinked.so' 1
}

# ncclAllToAll and its like are not in every NCCL.
case_missing_call() {
    shim lacks -- "$BIN/job" named "$BIN/plugin_lacking.so"
    expect lacks.out 'ncclAllToAll(.* = 3' 1
    expect lacks.err 'lacks ncclAllToAll ' 1
    expect lacks.out 'ncclAlltoAll(BUFF(0), BUFF(1024), 16, ncclFloat16, world, STREAM) = 0' 3
}

case_constructor() {
    local scene
    for scene in $("$BIN/job" list "$BIN/plugin_linked.so"); do
        plain plain SCENES_AT_LOAD=$scene -- "$BIN/at_load"
        shim shim SCENES_AT_LOAD=$scene HIERMOE_TRUST=shape -- "$BIN/at_load"
        same plain.calls shim.calls "calls of $scene in a constructor"
        same plain.out shim.out "results of $scene in a constructor"
        [ -s "$work/plain.calls" ] || fail "$scene makes no calls"
    done
    shim replaced SCENES_AT_LOAD=all2all HM_DOUBLE=replace -- "$BIN/at_load"
    expect replaced.calls REPLACED 2
}

case_child() {
    shim child HM_DOUBLE=replace -- "$BIN/forks" "$BIN/plugin_linked.so"
    expect child.out 'before: replaced 2' 1
    expect child.out 'child after use: replaced 0' 1
    expect child.out 'child before use: replaced 2' 1
    expect child.out 'parent after: replaced 2' 1
}

case_bystanders() {
    [ -z "${EXTRA-}" ] || exit 77
    export HIERMOE_STATS_FILE=$work/stats HIERMOE_DEBUG_FILE=$work/debug HIERMOE_DEBUG=TRACE
    for run in "ls -l /usr" "sh -c 'seq 1 100 | sort -rn | head -3 | wc -c; exit 0'" \
        "python3 -c 'import os, subprocess; pid = os.fork(); print(pid == 0) if pid == 0 else os.waitpid(pid, 0); print(subprocess.check_output([\"ls\", \"/\"]))'"; do
        plain plain -- bash -c "$run"
        shim shim -- bash -c "$run"
        same plain.out shim.out "$run"
        same plain.err shim.err "$run"
    done
    [ ! -e "$work/stats" ] && [ ! -e "$work/debug" ] || fail "a file was made by a program that does not use NCCL"
}

case_exports() {
    nm -D --defined-only "$LIB" | awk '{print $3}' | grep -v '^hiermoe_' | sort >"$work/has"
    grep -o '^HM_CALL(nccl[A-Za-z0-9]*' "$CALLS" | sed 's/.*(//' | sort >"$work/wants"
    [ "$(wc -l <"$work/wants")" -gt 40 ] || fail "calls.def not read"
    diff "$work/wants" "$work/has" || fail "exports differ from calls.def"
}

case_needs() {
    [ -z "${EXTRA-}" ] || exit 77
    readelf -d "$LIB" | grep NEEDED | grep -v 'libc\.so\|ld-linux\|libpthread\|libdl' && fail "needs more than libc"
    readelf -d "$LIB" | grep -q NEEDED || fail "readelf shows nothing"
    readelf -d "$LIB" | grep -q 'TEXTREL\|STATIC_TLS' && fail "text relocations or static TLS"
    nm -D --undefined-only "$LIB" | grep ' nccl\| cu[A-Z]\| cuda\| _Unwind' && fail "leaves symbols open"
    true
}

# What RHEL 9 has is 2.34.
case_glibc() {
    [ -z "${EXTRA-}" ] || exit 77
    local library newest
    for library in "$LIB" "$FULL"; do
        readelf -V "$library" | grep -o 'Name: GLIBC_[0-9.]*' | sed 's/.*GLIBC_//' | sort -Vu >"$work/versions"
        newest=$(tail -1 "$work/versions")
        [ -n "$newest" ] || fail "readelf shows no version"
        printf '%s\n' "$newest" 2.34 | sort -VC || fail "$library needs GLIBC_$newest: $(nm -D "$library" | grep "GLIBC_$newest")"
    done
}

# Every call of the NCCL at hand is either wrapped or known not to matter in a group.
case_all_of_nccl() {
    [ -e "${NCCL-}" ] || exit 77
    grep -o '^HM_CALL(nccl[A-Za-z0-9]*' "$CALLS" | sed 's/.*(//' >"$work/known"
    grep -o '^nccl[A-Za-z0-9]*' "$(dirname "$0")/not_wrapped.txt" >>"$work/known"
    nm -D --defined-only "$NCCL" | awk '{print $3}' | grep '^nccl' | sort >"$work/nccl"
    [ "$(wc -l <"$work/nccl")" -gt 30 ] || fail "no calls found in $NCCL"
    sort -u "$work/known" | comm -13 - "$work/nccl" >"$work/new"
    [ ! -s "$work/new" ] || fail "calls of $NCCL that calls.def does not know: $(tr '\n' ' ' <"$work/new")"
}

# The first calls of a process come from several threads at once.
case_threads() {
    for i in 1 2 3; do
        shim threads HM_DOUBLE=replace HIERMOE_TRUST=shape HIERMOE_DEBUG=INFO -- "$BIN/threads"
        expect threads.calls REPLACED 200
        expect threads.calls ncclSend 400
        expect threads.err 'in front of NCCL' 1
    done
}

case_dlopen() { "$BIN/opens" "$LIB" || fail "dlopen from C"; }

case_stats() {
    shim stats HIERMOE_TRUST=shape HM_DOUBLE=refuse HIERMOE_STATS_FILE="$work/stats.%p.%r" -- "$BIN/job" second "$BIN/plugin_linked.so"
    cat "$work"/stats.*.* >"$work/json"
    python3 -c '
import json, sys
last = {line["communicator"]: line for line in map(json.loads, open(sys.argv[1]))}
assert len(last) == 2 and all(line["event"] == "end" for line in last.values()), last
left = last[0]["left"]
assert left == {"second_comm": 1, "second_stream": 1, "partial": 1}, left' "$work/json" || fail "$(cat "$work/json")"
}

here=$(dirname "$0")
. "$here/callers.sh" || exit 1
. "$here/costs.sh" || exit 1
"case_$1"
