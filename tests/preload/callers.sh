# callers.sh: the cases of run.sh, which sources it, in which the caller decides whether a call is replaced.

case_trust() {
    local plugin=$BIN/plugin_linked.so
    shim known HM_DOUBLE=replace SCENES_RANK=0 HIERMOE_DEBUG=INFO -- "$BIN/job" untrusted "$plugin" "$plugin"
    expect known.calls REPLACED 0
    expect known.err 'INFO communicator 0: call left alone: .*HIERMOE_TRUST' 1
    expect known.err "WARN an all-to-all is left alone, as its caller .*: scene_untrusted < scenes_run < .*set HIERMOE_TRUST" 1
    shim quiet HM_DOUBLE=replace SCENES_RANK=0 HIERMOE_MODE=off -- "$BIN/job" untrusted "$plugin"
    expect quiet.err HIERMOE 0
    shim other_rank HM_DOUBLE=replace -- "$BIN/job" untrusted "$plugin" # rank 0 has said it
    expect other_rank.err HIERMOE 0
    shim shape HM_DOUBLE=replace HIERMOE_TRUST=shape -- "$BIN/job" untrusted "$plugin"
    expect shape.calls REPLACED 1
    shim named HM_DOUBLE=replace HIERMOE_TRUST=nobody,scenes_run -- "$BIN/job" untrusted "$plugin"
    expect named.calls REPLACED 1
    shim other HM_DOUBLE=replace HIERMOE_TRUST=nobody,somebody -- "$BIN/job" untrusted "$plugin"
    expect other.calls REPLACED 0
    shim also HM_DOUBLE=replace HIERMOE_TRUST=nobody -- "$BIN/job" all2all "$plugin"
    expect also.calls REPLACED 2
}

trusted() { # NAME TRUST PROGRAM CALLER REPLACED [VAR=value...]: how many of the two all-to-alls are replaced
    local name=$1 trust=$2 program=$3 caller=$4 replaced=$5; shift 5
    shim "$name" HM_DOUBLE=replace HIERMOE_DEBUG=INFO HIERMOE_TRUST="$trust" "$@" -- "$program" "$caller"
    expect "$name.calls" REPLACED "$replaced"
    expect "$name.calls" 'ncclSend' $((4 * (2 - replaced)))
}

# Functions that are not exported have names where the file is not stripped; in one that is, a neighbour's name is not
# taken for theirs.
case_hidden_caller() {
    local callers=$BIN/callers
    trusted direct nobody,hidden_disp "$callers" hidden_dispatch 2
    trusted above hidden_layer "$callers" hidden_layer 2
    trusted exported exported_dispatch "$callers" exported_dispatch 2
    trusted neighbour exported_dispatch "$callers" hidden_dispatch 0
    nm -n "$callers" | grep -A1 ' exported_dispatch$' | grep -q ' hidden_dispatch$' || fail "not neighbours: $(nm -n "$callers")"
    strip -o "$work/stripped" "$callers" || fail strip
    trusted gone hidden_dispatch "$work/stripped" hidden_dispatch 0
    trusted near exported_dispatch "$work/stripped" hidden_dispatch 0
    trusted still exported_dispatch "$work/stripped" exported_dispatch 2
    # Rank 0 may know it by name: each rank without one says so.
    shim says HM_DOUBLE=replace HIERMOE_TRUST=hidden_dispatch -- "$work/stripped" hidden_dispatch
    expect says.err "WARN an all-to-all is left alone, .*: a function without a name in $work/stripped" 1
}

# What is installed beside the job must not decide whom a rank believes: libunwind once did.
case_no_libunwind() {
    mkdir "$work/empty" && : >"$work/empty/libunwind.so.8" || fail mkdir
    trusted empty hidden_dispatch "$BIN/callers" hidden_dispatch 2 LD_LIBRARY_PATH="$work/empty"
    ! nm -D --undefined-only "$LIB" | grep -i unw || fail "an unwinder is asked for"
    ! strings "$LIB" | grep -i 'libunwind\.so' || fail "libunwind is opened"
}

# An unwinder of ours that the job could see would throw its C++ exceptions.
case_exceptions() {
    [ -x "$BIN/throws" ] || exit 77
    local by=libgcc_s trust
    [ -z "${EXTRA-}" ] || by='lib[a-z_]*' # a sanitizer's run time stands before libgcc_s
    if [ -z "${EXTRA-}" ] && LD_PRELOAD=libunwind.so.8 true 2>&1 | cmp -s - /dev/null; then
        play control LD_PRELOAD=libunwind.so.8 -- "$BIN/throws" hidden_dispatch
        expect control.out 'thrown by libunwind' 2 # what must not be would be seen
    fi
    trusted known hidden_dispatch "$BIN/throws" hidden_dispatch 2 LD_DEBUG=bindings LD_DEBUG_OUTPUT="$work/bindings"
    expect known.out "thrown by $by.so.*, caught" 2
    for trust in shape exported_dispatch; do
        trusted "$trust" $trust "$BIN/throws" exported_dispatch 2
        expect "$trust.out" "thrown by $by.so.*, caught" 2
    done
    [ -z "${EXTRA-}" ] || return 0
    grep -h 'libstdc++.* to .*`_Unwind_' "$work"/bindings.* >"$work/unwind"
    grep -q '`_Unwind_RaiseException' "$work/unwind" || fail "_Unwind_RaiseException is not bound"
    ! grep -v ' to [^ ]*libgcc_s' "$work/unwind" || fail "libstdc++ is bound elsewhere"
}
