#!/usr/bin/env bash
# Emulates a cluster of NODES nodes with GPUS GPUs each on one machine that has at least GPUS GPUs.
#
#   nodes.sh NODES GPUS -- COMMAND [ARG ...]
#
# Starts NODES*GPUS ranks of COMMAND with what torchrun would set, and NCCL_HOSTID=node<k>: NCCL takes equal ids for
# one node, so ranks of a node talk over NVLink or shared memory and ranks of two nodes over TCP on loopback. Several
# ranks share a GPU; the CUDA multi-process service (MPS) lets their kernels run side by side, and is started and ended
# here unless CUDA_MPS_PIPE_DIRECTORY says that somebody runs one already. A single node runs without it. Where this
# machine allows it (root), ranks have a network of their own, a loopback alone, whose congestion control is Reno's:
# BBR, which many machines prefer, holds calls back every now and then, as no lossless network does.
#
#   PRELOAD=FILE     LD_PRELOAD of the ranks alone, not of the tools that start and time them
#   NCCL_DIR=FOLDER  of the libnccl.so.2 for programs linked with it; default: the one that python3's torch uses
#   LOG_DIR=FOLDER   rank.<r> of each rank's output (default: a new temporary folder); rank 0's is shown too
#   NETWORK=machine  the machine's network after all, with what it prefers
#   TIMEOUT=SECONDS  for the ranks (default 300); once one has failed, the others have GRACE (default 10) more
#
# Exit status: that of the rank that failed first, else 0; each failed rank is named with its status and last lines.
set -u
usage="usage: [PRELOAD=..] [NCCL_DIR=..] [LOG_DIR=..] [NETWORK=..] [TIMEOUT=..] nodes.sh NODES GPUS -- COMMAND [ARG ...]"
[[ $# -ge 4 && $1 =~ ^[1-9][0-9]*$ && $2 =~ ^[1-9][0-9]*$ && $3 == -- ]] || { echo "$usage" >&2; exit 2; }

# Started again in a network of its own, HM_NODES_OF names the one it came from: this machine's own is never touched.
network=$(readlink /proc/self/ns/net)
case ${HM_NODES_OF:-}:${NETWORK:-} in
:) ! unshare --net true 2>/dev/null || HM_NODES_OF=$network exec unshare --net -- bash "$0" "$@" ;;
:machine) ;;
:*) echo "nodes.sh: NETWORK=$NETWORK: expected machine or nothing" >&2; exit 2 ;;
*)
    [[ $HM_NODES_OF != "$network" ]] || { echo "nodes.sh: HM_NODES_OF is not for you to set" >&2; exit 2; }
    ip link set lo up 2>/dev/null || python3 - <<'END' || exit 2
import fcntl, socket, struct
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
fcntl.ioctl(socket.socket(), SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
END
    control=/proc/sys/net/ipv4/tcp_congestion_control
    echo reno >$control || echo "nodes.sh: the ranks' congestion control is $(<$control)" >&2
    unset HM_NODES_OF
    ;;
esac

nodes=$1 gpus=$2
shift 3
ulimit -n "$(ulimit -Hn)" # 32 ranks keep more than a thousand sockets each
log=${LOG_DIR:-$(mktemp -d)}
mkdir -p "$log" && rm -f "$log"/rank.* || exit 2

nccl=${NCCL_DIR:-$(python3 -c 'import importlib.util as u; print(list(u.find_spec("nvidia.nccl").submodule_search_locations)[0] + "/lib")' 2>/dev/null)}
[[ -z $nccl ]] || export LD_LIBRARY_PATH=$nccl${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export MASTER_ADDR=127.0.0.1 MASTER_PORT=${MASTER_PORT:-$((20000 + RANDOM % 12000))} MOE_PERF_ID_FILE=$log/id
export WORLD_SIZE=$((nodes * gpus)) LOCAL_WORLD_SIZE=$gpus OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}
export NCCL_SOCKET_IFNAME=${NCCL_SOCKET_IFNAME:-lo} NCCL_IB_DISABLE=${NCCL_IB_DISABLE:-1}
export NCCL_SOCKET_NTHREADS=${NCCL_SOCKET_NTHREADS:-4} NCCL_NSOCKS_PERTHREAD=${NCCL_NSOCKS_PERTHREAD:-4}
# Multicast over NVLink can put GPUs of a shared host out of service.
export NCCL_NVLS_ENABLE=${NCCL_NVLS_ENABLE:-0} TORCH_SYMM_MEM_DISABLE_MULTICAST=1 NVSHMEM_DISABLE_NVLS=1

mps=
if [[ $nodes -gt 1 && -z ${CUDA_MPS_PIPE_DIRECTORY:-} ]] && command -v nvidia-cuda-mps-control >/dev/null; then
    mps=$(mktemp -d)
    export CUDA_MPS_PIPE_DIRECTORY=$mps CUDA_MPS_LOG_DIRECTORY=$mps
    nvidia-cuda-mps-control -d || { echo "nodes.sh: the multi-process service did not start" >&2; exit 2; }
fi

declare -A rank_of=()
finish() {
    local pid
    for pid in "${!rank_of[@]}" ${timer:-}; do kill -TERM "$pid" 2>/dev/null; done
    wait
    [[ -z $mps ]] || { echo quit | timeout 20 nvidia-cuda-mps-control >/dev/null 2>&1; rm -rf "$mps"; }
}
trap finish EXIT
trap 'exit 143' TERM INT HUP

for ((r = 0; r < WORLD_SIZE; r++)); do
    # timeout gives each rank a process group and ends all of it.
    RANK=$r LOCAL_RANK=$((r % gpus)) NCCL_HOSTID=node$((r / gpus)) \
        timeout -k 5 "${TIMEOUT:-300}" env ${PRELOAD:+"LD_PRELOAD=$PRELOAD"} "$@" >"$log/rank.$r" 2>&1 </dev/null &
    rank_of[$!]=$r
done

# The next process to end: its id in `pid`, its status in `ended`. Where several end at once, bash may know only by id.
await() {
    local each
    wait -n -p pid "${!rank_of[@]}" $timer 2>/dev/null
    ended=$?
    [[ -z ${pid:-} ]] || return 0
    for each in "${!rank_of[@]}" $timer; do
        kill -0 "$each" 2>/dev/null && continue
        wait "$each" 2>/dev/null
        ended=$? pid=$each
        return 0
    done
    sleep 0.1
    return 1
}

status=0 timer=
while ((${#rank_of[@]} > 0)); do
    await || continue
    if [[ $pid == "$timer" ]]; then
        timer=
        echo "nodes.sh: ranks ${rank_of[*]} still ran ${GRACE:-10} s after a rank had failed: ended" >&2
        kill -TERM "${!rank_of[@]}" 2>/dev/null
        continue
    fi
    rank=${rank_of[$pid]}
    unset "rank_of[$pid]"
    ((ended != 0)) || continue
    [[ $ended != 124 ]] || echo "nodes.sh: rank $rank still ran after ${TIMEOUT:-300} s" >&2
    echo "nodes.sh: rank $rank ended with status $ended" >&2
    ((rank == 0)) || tail -n "${TAIL:-12}" "$log/rank.$rank" | sed "s/^/[rank $rank] /" >&2
    ((status != 0)) || { status=$ended; sleep "${GRACE:-10}" & timer=$!; }
done
[[ ! -e $log/rank.0 ]] || cat "$log/rank.0"
exit $status
