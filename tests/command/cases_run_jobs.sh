# shellcheck shell=bash disable=SC2154,SC2016
# hiermoe run: what it finds out before the start, and whole jobs. The library is loaded here, which sanitizers do not let
# another program do.

without_sanitizers() { [ -z "$SANITIZE" ] || exit 77; }

# warned STATUS TEXT COMMAND...: the job runs, and it is said before.
warned() {
    ends "$1" "$hiermoe" run -- "${@:3}"
    said "hiermoe: warning: $2"
}
not_warned() {
    ends "$1" "$hiermoe" run -- "${@:2}"
    ! grep -q "hiermoe: warning: .*\(NCCL\|linked\)" "$work/err" || fail "$*: $(cat "$work/err")"
}

case_run_checks() {
    without_sanitizers
    local bin=$BUILD/bin lib=$HERE/libcommand
    not_warned 0 "$bin/command_use_exported"
    not_warned 0 "$bin/command_use_linked"
    not_warned 0 "$bin/command_use_handle"
    warned 0 "${lib}_symbolic.so holds NCCL and is linked with -Bsymbolic" "$bin/command_use_symbolic"
    warned 0 "${lib}_hidden.so is linked statically with NCCL" "$bin/command_use_hidden"
    warned 0 "${lib}_hidden.so is linked statically with NCCL" env A=1 timeout 600 "$bin/command_use_hidden"
    warned 0 '"--moe-enable-deepep": tokens go by DeepEP, which goes past NCCL' true --moe-enable-deepep
    warned 0 '"flex": Megatron'"'"'s flex dispatcher takes DeepEP or HybridEP' true --moe-token-dispatcher-type flex
    warned 0 '"hybridep": tokens go by HybridEP' true --parallelism.expert_parallel_comm_backend hybridep
    warned 0 '"allgather": tokens go by all-gathers' true --moe-token-dispatcher-type allgather
    not_warned 0 true --moe-token-dispatcher-type alltoall --out deepep.log
    echo 'int main(void) { return 0; }' | cc -x c -static -o "$work/static" - || fail "cc -static"
    warned 0 "$work/static is linked statically: nothing can be preloaded into it" "$work/static"
    ends 0 "$hiermoe" run --no-check --quiet -- "$work/static"
    [ ! -s "$work/err" ] || fail "--no-check says $(cat "$work/err")"
}

# ld.so would warn, and the job would run for nothing.
case_run_library_is_of_no_use() {
    without_sanitizers
    echo "not a library" >"$work/libhiermoe.so"
    ends 2 "$hiermoe" run --library "$work/libhiermoe.so" -- touch "$work/ran"
    said "libhiermoe.so cannot be loaded here: "
    : >"$work/a library.so"
    ends 2 "$hiermoe" run --library "$work/a library.so" -- touch "$work/ran"
    said " cannot be loaded here: "
    [ ! -e "$work/ran" ] || fail "the job was started"
}

# Ranks of a job: what torchrun would set for each of four on two nodes.
job=("$BUILD/bin/moe_perf" --tokens 256 --hidden 256 --experts 16 --topk 4 --iters 3 --warmup 1 --direction dispatch)
settings=(--trust moe_perf_all_to_all_v --depth 2 --topo 2,2)
ranks='for r in 0 1 2 3; do RANK=$r WORLD_SIZE=4 LOCAL_RANK=$r LOCAL_WORLD_SIZE=4 "$@" & done; wait'
on_hostnccl=(env LD_LIBRARY_PATH="$BUILD/tests/hostnccl" MOE_PERF_ID_FILE="$work/id")

replaced_all() {
    said "4 of 4 ranks seen, on 1 host; all-to-alls of a rank: 4 replaced, 0 left alone"
    said " between ranks where NCCL sends "
    said "most at depth 2"
}

case_run_job() {
    without_sanitizers
    ends 0 "${on_hostnccl[@]}" "$hiermoe" run "${settings[@]}" -- bash -c "$ranks" ranks "${job[@]}"
    printed "# Out of bounds values : 0 OK"
    replaced_all
    rm -f "$work/id"
    ends 0 "${on_hostnccl[@]}" "$hiermoe" run "${settings[@]}" --mode off -- bash -c "$ranks" ranks "${job[@]}"
    said "4 of 4 ranks seen, on 1 host; all-to-alls of a rank: 0 replaced, 4 left alone (mode_off 4)"
    rm -f "$work/id"
    # A file of the user's: lines of earlier jobs do not count.
    echo '{"time": 1, "host": "old", "pid": 1, "communicator": 0, "rank": 0, "ranks": 999}' >"$work/stats.[a]0"
    ends 0 "${on_hostnccl[@]}" "$hiermoe" run "${settings[@]}" --stats-file "$work/stats.[a]%r" -- \
        bash -c "$ranks" ranks "${job[@]}"
    replaced_all
    [ -s "$work/stats.[a]3" ] || fail "there are no statistics"
}

case_run_mpirun() {
    without_sanitizers
    mpirun --version 2>/dev/null | grep -q "Open MPI" || exit 77
    cd "$work" || fail cd
    # mpirun starts ranks with what it is told to hand on, and everything else of this environment.
    ends 0 "${on_hostnccl[@]}" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
        OMPI_MCA_btl_vader_single_copy_mechanism=none "$hiermoe" run "${settings[@]}" -- mpirun -np 4 bash -c \
        'RANK=$OMPI_COMM_WORLD_RANK WORLD_SIZE=4 LOCAL_RANK=$RANK LOCAL_WORLD_SIZE=4 "$@"' rank "${job[@]}"
    printed "# Out of bounds values : 0 OK"
    replaced_all
}

case_run_torchrun() {
    without_sanitizers
    command -v torchrun >/dev/null || exit 77
    ends 0 "${on_hostnccl[@]}" "$hiermoe" run "${settings[@]}" -- torchrun --no-python --nproc-per-node 4 "${job[@]}"
    printed "# Out of bounds values : 0 OK"
    replaced_all
}
