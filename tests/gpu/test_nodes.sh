#!/usr/bin/env bash
# Guards nodes.sh: who failed first decides its status, ranks that would wait for ever are ended with all they started,
# and only the ranks get the preload. Needs no GPU.
set -u
nodes=$(dirname "$0")/nodes.sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export LOG_DIR=$folder/log GRACE=1 NCCL_DIR=$folder
long=4${$} longer=5${$} # seconds that no other run of this test sleeps
failures=0
expect() { # what expected got
    [[ $2 == "$3" ]] || { echo "$1: expected '$2', got '$3'"; failures=$((failures + 1)); }
}

# shellcheck disable=SC2016
said=$(TIMEOUT=900 "$nodes" 2 2 -- bash -c 'echo $RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $NCCL_HOSTID' 2>&1)
expect "status of ranks that end well" 0 $?
expect "rank 0's surroundings" "0 0 4 2 node0" "$said"
expect "rank 3's surroundings" "3 1 4 2 node1" "$(cat "$LOG_DIR/rank.3")"

# shellcheck disable=SC2016
TIMEOUT=900 "$nodes" 1 3 -- bash -c '[[ $RANK == 1 ]] && exit 5; sleep $0; true' $long >/dev/null 2>&1
expect "status of the first to fail" 5 $?
expect "processes left" "" "$(pgrep -f "sleep $long\$")"
TIMEOUT=1 "$nodes" 1 2 -- sleep $longer >/dev/null 2>&1
expect "status of late ranks" 124 $?
expect "processes left after a time-out" "" "$(pgrep -f "sleep $longer\$")"

# The ranks' network is theirs, and reaches from rank to rank; this machine's stays as it is.
if unshare --net true 2>/dev/null; then
    control=/proc/sys/net/ipv4/tcp_congestion_control
    before=$(cat $control)
    said=$(TIMEOUT=900 "$nodes" 1 1 -- cat $control)
    expect "congestion control of the ranks" reno "$said"
    expect "congestion control of this machine" "$before" "$(cat $control)"
    said=$(TIMEOUT=900 NETWORK=machine "$nodes" 1 1 -- cat $control)
    expect "congestion control on this machine's network" "$before" "$said"
    said=$(cd "$(dirname "$nodes")" && TIMEOUT=900 bash nodes.sh 1 1 -- cat $control)
    expect "congestion control when started from its own folder" reno "$said"
    # Another word once had the machine's own changed.
    unshare --net env NETWORK=host "$nodes" 1 1 -- true >/dev/null 2>&1
    expect "status with another network" 2 $?
    # shellcheck disable=SC2016
    said=$(TIMEOUT=900 "$nodes" 1 2 -- python3 -c 'import os, socket, time
port = ("127.0.0.1", 20001)
if os.environ["RANK"] == "0":
    print(socket.create_server(port).accept()[0].recv(5).decode())
while os.environ["RANK"] == "1":
    try:
        socket.create_connection(port).sendall(b"hello")
        break
    except ConnectionRefusedError:
        time.sleep(0.1)' 2>&1)
    expect "what rank 1 sent to rank 0" hello "$said"
fi

# The loader names itself on stderr where it cannot preload: once for each rank's shell, never for timeout or env.
TIMEOUT=900 PRELOAD=$folder/none.so "$nodes" 1 1 -- bash -c : >"$folder/said" 2>&1
expect "programs that were preloaded" 1 "$(grep -c none.so "$folder/said")"

"$nodes" 0 2 -- true >/dev/null 2>&1
expect "status of bad arguments" 2 $?
exit $((failures > 0))
