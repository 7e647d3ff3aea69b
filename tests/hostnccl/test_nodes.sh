#!/usr/bin/env bash
# Emulated nodes: all bytes between nodes are on the links, none of those inside a node, and no faster than the links.
# usage: test_nodes.sh BENCH    (77: skipped, for want of root or iproute2)
set -eu
bench=$1 here=$(dirname "$(readlink -f "$0")")
export NODES_PREFIX=h$$n NODES_SUBNET=10.79.0 NODES_TIMEOUT=900
nodes=$here/nodes.sh mib=$((4 << 20)) rounds=3

((EUID == 0)) && command -v ip tc unshare >/dev/null && ip netns list >/dev/null 2>&1 || exit 77
trap '"$nodes" down 2>/dev/null || true' EXIT
"$nodes" up 4 1gbit || exit 77

sent() { "$nodes" bytes | awk '{sum += $3} END {printf "%d", sum}'; }
loopback() { for i in 0 1 2 3; do ip netns exec $NODES_PREFIX$i cat /sys/class/net/lo/statistics/tx_bytes; done | awk '{sum += $1} END {printf "%d", sum}'; }
expect() { # NAME VALUE AT_LEAST AT_MOST
    echo "$1: $2, expected $3 to $4"
    (($2 >= $3 && $2 <= $4)) || { echo "failed: $1" >&2; exit 1; }
}

# 8 ranks, 2 a node: each sends to 6 on other nodes, in rounds and one more to warm up.
before=$(sent) before_lo=$(loopback)
line=$("$nodes" run 8 "$bench" $mib $rounds)
echo "$line"
data=$((8 * 6 * mib * (rounds + 1)))
expect "bytes between nodes" $(($(sent) - before)) $data $((data * 11 / 10))
expect "bytes over loopback" $(($(loopback) - before_lo)) 0 $((data / 100))
# 48 MiB leave each node: 0.4 s at 1 Gbit/s, and more on a busy machine.
expect "milliseconds" "$(sed -E 's/.*best ([0-9]+).*/\1/' <<<"$line")" 380 $((NODES_TIMEOUT * 1000))

# Two nodes that share hostname, /dev/shm and IPC namespace are still two nodes.
before=$(sent)
HOSTNCCL_ID_FILE=$(mktemp -u) WORLD_SIZE=2
export HOSTNCCL_ID_FILE WORLD_SIZE
RANK=0 timeout $NODES_TIMEOUT ip netns exec ${NODES_PREFIX}0 "$bench" $mib $rounds & first=$!
RANK=1 timeout $NODES_TIMEOUT ip netns exec ${NODES_PREFIX}1 "$bench" $mib $rounds
wait $first
rm -f "$HOSTNCCL_ID_FILE"
data=$((2 * mib * (rounds + 1)))
expect "bytes between two bare namespaces" $(($(sent) - before)) $data $((data * 11 / 10))

# NCCL_HOSTID makes two nodes in one namespace: TCP instead of shared memory.
before_lo=$(loopback) HOSTNCCL_ID_FILE=$(mktemp -u)
RANK=0 NCCL_HOSTID=a timeout $NODES_TIMEOUT ip netns exec ${NODES_PREFIX}0 "$bench" $mib $rounds & first=$!
RANK=1 NCCL_HOSTID=b timeout $NODES_TIMEOUT ip netns exec ${NODES_PREFIX}0 "$bench" $mib $rounds
wait $first
rm -f "$HOSTNCCL_ID_FILE"
expect "bytes between two host ids" $(($(loopback) - before_lo)) $data $((data * 12 / 10))
