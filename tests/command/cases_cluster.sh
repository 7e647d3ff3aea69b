# shellcheck shell=bash disable=SC2154,SC2016
# integration/cluster: ranks on emulated nodes.

cluster=("$root/integration/cluster" --prefix "hmcl$$")

needs_nodes() {
    "$root/tests/cluster/netns.sh" up --nodes 1 --prefix "hmcl$$" --owner $$ >"$work/said" 2>&1 || {
        cat "$work/said"
        exit 77
    }
    "$root/tests/cluster/netns.sh" down --prefix "hmcl$$"
}

case_cluster_refuses() {
    ends 2 "${cluster[@]}" --rate 1gb -- true
    said "--rate: expected a number from 1 and kbit, mbit or gbit, such as 500mbit, got '1gb'"
    ends 2 "${cluster[@]}" --nodes 251 -- true
    said "--nodes: expected 1 to 250"
    ends 2 "${cluster[@]}" --ranks-per-node 0 -- true
    ends 2 "$root/integration/cluster" --up -- true
    said "--up: expected --prefix, too"
    ends 2 "${cluster[@]}"
}

case_cluster_ranks() {
    needs_nodes
    mkdir "$work/a folder" && cd "$work/a folder" || fail cd
    ends 0 env MINE=kept "${cluster[@]}" --nodes 2 --ranks-per-node 2 --logs "$work/logs" -- \
        sh -c 'echo "$RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $(hostname) $MINE $PWD"; ip -4 -o addr show eth0'
    printed "0/4 0/2 hmcl$$""node0 kept $work/a folder"
    printed "10.77.0.1/24"
    grep -qF "3/4 1/2 hmcl$$""node1 kept $work/a folder" "$work/logs/rank.3" || fail "$(cat "$work/logs/rank.3")"
    grep -qF "10.77.0.2/24" "$work/logs/rank.3" || fail "$(cat "$work/logs/rank.3")"
    [ -z "$("$root/tests/cluster/netns.sh" bytes --prefix "hmcl$$" 2>/dev/null)" ] || fail "the nodes are still there"
    # Ranks are preloaded, the tools that lead to them are not.
    mkdir "$work/bin" && printf '#!/bin/sh\necho "${LD_PRELOAD-none}" >>"%s"\nexec "%s" "$@"\n' "$work/tools" \
        "$(command -v nsenter)" >"$work/bin/nsenter" && chmod +x "$work/bin/nsenter" || fail nsenter
    ends 0 env PATH="$work/bin:$PATH" LD_PRELOAD=libm.so.6 "${cluster[@]}" --nodes 1 --ranks-per-node 1 -- \
        sh -c 'echo "mine $LD_PRELOAD"'
    printed "mine libm.so.6"
    [ "$(sort -u "$work/tools")" = none ] || fail "tools were preloaded: $(cat "$work/tools")"
}

case_cluster_ends() {
    needs_nodes
    ends 5 "${cluster[@]}" --nodes 2 --ranks-per-node 1 -- sh -c 'echo "luck of $RANK"; [ $RANK = 0 ] || exit 5'
    said "cluster: rank 1 ended with status 5"
    said "rank 1: luck of 1"
    printed "luck of 0"
    ends 137 "${cluster[@]}" --nodes 1 --ranks-per-node 1 -- sh -c 'kill -9 $$'
    ends 124 "${cluster[@]}" --nodes 1 --ranks-per-node 2 --timeout 0.5 -- sleep 1234.5
    said "the ranks still ran after 0.5 s"
    "${cluster[@]}" --nodes 1 --ranks-per-node 1 -- sh -c 'echo ready; exec sleep 1234.5' >"$work/out" 2>"$work/err" &
    while ! grep -q ready "$work/out"; do sleep 0.05; done
    kill -TERM $! && wait $!
    [ $? = 143 ] || fail "another status than 143 after SIGTERM"
    ! ps -eo args | grep -q "^sleep 1234.5" || fail "a rank is still there"
}

# The bytes of a rank's rows cross a node's link once.
case_cluster_job() {
    without_sanitizers
    needs_nodes
    ends 0 "$hiermoe" run --trust moe_perf_all_to_all_v --depth 2 -- "${cluster[@]}" --nodes 2 --nccl \
        "$BUILD/tests/hostnccl" -- "${job[@]}"
    said "4 of 4 ranks seen, on 2 hosts; all-to-alls of a rank: 4 replaced, 0 left alone"
}
