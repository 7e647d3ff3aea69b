#!/usr/bin/env bash
# Starts a program as several ranks, on this machine or on emulated nodes: network namespaces with shaped links.
#
#   nodes.sh up NODES RATE            e.g. up 4 1gbit; needs root and iproute2
#   nodes.sh run RANKS COMMAND ...    on all nodes that are up, ranks in blocks (node 0 has the first); here if none is
#   nodes.sh bytes                    what the kernel counted on each node's link: node rx_bytes tx_bytes
#   nodes.sh down
#
# COMMAND finds RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE and HOSTNCCL_ID_FILE (where rank 0 leaves the unique id).
# `run` ends all ranks after NODES_TIMEOUT seconds (120), or as soon as one fails, and returns the first failure.
# Ranks of a node share its /dev/shm and IPC namespace, nodes do not. NODES_PREFIX (hn) names the namespaces,
# NODES_SUBNET (10.78.0) their addresses.
set -eu
prefix=${NODES_PREFIX:-hn} subnet=${NODES_SUBNET:-10.78.0}

nodes() {
    ip netns list 2>/dev/null | awk -v p="^$prefix[0-9]+$" '$1 ~ p {print $1}' | sort -V
}

shape() { # COMMAND PREFIX..., RATE last
    "${@:1:$#-1}" root tbf rate "${!#}" burst 256kb latency 50ms
}

case ${1:-} in
up)
    ip link add "${prefix}br" type bridge
    ip link set "${prefix}br" up
    for ((i = 0; i < $2; i++)); do
        ip netns add "$prefix$i"
        ip link add "${prefix}v$i" type veth peer name eth0 netns "$prefix$i"
        ip link set "${prefix}v$i" master "${prefix}br" up
        ip -n "$prefix$i" addr add "$subnet.$((i + 1))/24" dev eth0
        ip -n "$prefix$i" link set eth0 up
        ip -n "$prefix$i" link set lo up
        shape tc -n "$prefix$i" qdisc add dev eth0 "$3"
        shape tc qdisc add dev "${prefix}v$i" "$3"
    done ;;
run)
    ranks=$2
    shift 2
    export WORLD_SIZE=$ranks
    HOSTNCCL_ID_FILE=$(mktemp -u "${TMPDIR:-/tmp}/hostnccl-id.XXXXXX")
    export HOSTNCCL_ID_FILE
    seconds=${NODES_TIMEOUT:-120} names=$(nodes | paste -sd,) gang=$(dirname "$(readlink -f "$0")")/gang.py rc=0
    if [[ $names ]]; then
        python3 "$gang" nodes "$ranks" "$seconds" "$names" "$@" || rc=$?
    else
        python3 "$gang" ranks 0 "$ranks" "$seconds" "$@" || rc=$?
    fi
    rm -f "$HOSTNCCL_ID_FILE"
    exit $rc ;;
bytes)
    for ns in $(nodes); do
        echo "$ns $(ip netns exec "$ns" cat /sys/class/net/eth0/statistics/{rx,tx}_bytes | tr '\n' ' ')"
    done ;;
down)
    for ns in $(nodes); do ip netns del "$ns"; done
    ip link del "${prefix}br" ;;
*)
    sed -n '2,/^set/{/^#/p}' "$0" >&2
    exit 2 ;;
esac
