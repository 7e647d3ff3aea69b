#!/usr/bin/env bash
# A cluster's network on one machine: nodes with their own network, hostname, /dev/shm and IPC, each on its own link of
# a given rate into one switch. Nothing of it shows outside: nodes and switch are processes with namespaces of their
# own, and what dies with them is all there was.
set -eu

usage() {
    cat <<'TEXT'
usage: netns.sh up [--nodes N] [--rate RATE] [--subnet A.B.C] [--owner PID] [--prefix NAME]
       netns.sh exec [--prefix NAME] NODE COMMAND [ARG ...]
       netns.sh bytes [--prefix NAME]
       netns.sh down [--prefix NAME]

up     makes nodes 0..N-1 (default 4), addresses A.B.C.1 and up (default 10.77.0) on eth0, each link limited to RATE in
       either direction (default 1gbit; a number and kbit, mbit or gbit). What a killed run left under the same prefix
       is removed first. With --owner the cluster vanishes about a second after that process ends, however it ends,
       and another `up` under the prefix is refused while it lives.
exec   runs COMMAND on a node.
bytes  prints a line "NODE RX TX" per node: what the kernel counted on its link, from the node's view.
down   removes the cluster; what still runs on its nodes has no network from then on.

Prefixes keep clusters apart (default hm); clusters may use the same subnet. Needs iproute2 and util-linux, and
either root or a kernel that lets users make namespaces.
TEXT
}

fail() {
    echo "netns.sh: $*" >&2
    exit 1
}

verb=${1:-}
mine= # set once the state folder is this run's own
[ $# -gt 0 ] && shift
nodes=4 rate=1gbit prefix=hm subnet=10.77.0 owner=
while [ $# -gt 0 ]; do
    case $1 in
    --nodes | --rate | --prefix | --subnet | --owner)
        [ $# -ge 2 ] || fail "$1: expected a value"
        printf -v "${1#--}" %s "$2"
        shift 2 ;;
    --*) fail "unknown option $1 (see netns.sh help)" ;;
    *) break ;;
    esac
done
[[ $prefix =~ ^[A-Za-z0-9_-]{1,32}$ ]] || fail "--prefix: expected up to 32 letters, digits, _ or -, got '$prefix'"

# One folder per user, so that users cannot hand each other process ids.
base=${NETNS_STATE:-${TMPDIR:-/tmp}/hiermoe-netns-$(id -u)}
state=$base/$prefix

# A process is known by its id and its start, since ids come round again.
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
alive() { [ -n "$1" ] && [ -n "$2" ] && [ "$(started "$1")" = "$2" ]; }
record() { echo "$2 $(started "$2")" >"$state/$1"; }
holder() { # prints the process that holds a node or the switch open
    local pid= start=
    [ -e "$state/$1" ] && read -r pid start <"$state/$1"
    alive "$pid" "$start" && echo "$pid"
}

# Runs a command inside a holder's namespaces; a user who is not root enters the user namespace too. With take=exec the
# command takes this script's place, so that whoever started the script can end it.
take=
enter() {
    local pid=$1 user=()
    shift
    [ "$(id -u)" = 0 ] || user=(-U --preserve-credentials)
    $take nsenter -t "$pid" "${user[@]}" -n -u -i -m -- "$@"
}

# Starts a process in namespaces of its own that only waits, for `owner` if there is one.
hold() {
    local name=$1 wait=(sleep infinity)
    [ -n "$owner" ] && wait=(tail "--pid=$owner" -f /dev/null)
    setsid unshare --net --uts --ipc --mount bash -c '
        mount -t tmpfs none /dev/shm && hostname "$1" && ip link set lo up && : >"$2.ready" && shift 2 && exec "$@"' \
        hold "$prefix$name" "$state/$name" "${wait[@]}" </dev/null >/dev/null 2>"$state/$name.log" &
    record "$name" $!
    while [ -n "$(holder "$name")" ]; do # however long it takes on a busy machine
        [ -e "$state/$name.ready" ] && return
        sleep 0.02
    done
    fail "cannot make namespaces: $(cat "$state/$name.log")"
}

# The bucket must hold what the kernel sends between two clock ticks, and a few large packets.
shape() {
    local unit bytes
    [[ $rate =~ ^([1-9][0-9]*)(k|m|g)bit$ ]] ||
        fail "--rate: expected a number from 1 and kbit, mbit or gbit, such as 500mbit, got '$rate'"
    case ${BASH_REMATCH[2]} in k) unit=1000 ;; m) unit=1000000 ;; g) unit=1000000000 ;; esac
    bytes=$((BASH_REMATCH[1] * unit / 8 / 250))
    [ $bytes -ge 262144 ] || bytes=262144
    echo "root tbf rate $rate burst $bytes latency 50ms"
}

build() {
    local switch pid i qdisc
    qdisc=$(shape)
    hold switch
    switch=$(holder switch)
    enter "$switch" ip link add br0 type bridge
    enter "$switch" ip link set br0 up
    for ((i = 0; i < nodes; i++)); do
        hold "node$i"
        pid=$(holder "node$i")
        enter "$switch" ip link add "port$i" type veth peer name eth0 netns "$pid"
        enter "$switch" ip link set "port$i" master br0 up
        enter "$pid" ip addr add "$subnet.$((i + 1))/24" dev eth0
        enter "$pid" ip link set eth0 up
        # Whatever this machine prefers: BBR holds a call back for 50 ms every now and then, as no lossless network does.
        enter "$pid" sh -c 'echo reno >/proc/sys/net/ipv4/tcp_congestion_control' || true
        # shellcheck disable=SC2086
        enter "$pid" tc qdisc add dev eth0 $qdisc
        # shellcheck disable=SC2086
        enter "$switch" tc qdisc add dev "port$i" $qdisc
    done
}

down() {
    local file pid start
    [ -d "$state" ] || return 0
    for file in "$state"/switch "$state"/node*; do
        case $file in *.ready | *.log) continue ;; esac
        [ -e "$file" ] || continue
        read -r pid start <"$file" || continue
        ! alive "$pid" "$start" || kill -KILL "$pid" 2>/dev/null || true
    done
    rm -rf "$state"
}

up() {
    local pid start
    for tool in ip tc nsenter unshare setsid; do
        command -v $tool >/dev/null || fail "needs $tool (Debian: iproute2, util-linux)"
    done
    [[ $nodes =~ ^[0-9]+$ && $nodes -ge 1 && $nodes -le 250 ]] || fail "--nodes: expected 1 to 250, got '$nodes'"
    [[ $subnet =~ ^([0-9]{1,3}\.){2}[0-9]{1,3}$ ]] ||
        fail "--subnet: expected three numbers such as 10.77.0, got '$subnet'"
    shape >/dev/null
    [ -z "$owner" ] || [ -n "$(started "$owner")" ] || fail "--owner: expected a running process, got '$owner'"
    if [ -e "$state/owner" ] && read -r pid start <"$state/owner" && alive "$pid" "$start" &&
        [ "$pid" != "$owner" ]; then
        fail "prefix $prefix is in use by process $pid: choose another with --prefix"
    fi
    down
    (umask 077 && mkdir -p "$base")
    [ -O "$base" ] || fail "$base belongs to another user"
    mkdir "$state"
    mine=1
    [ -z "$owner" ] || record owner "$owner"
    if [ "$(id -u)" = 0 ]; then
        build
    else
        # Everything is made by the root of a new user namespace, which lives on in the processes that hold the nodes.
        NETNS_STATE=$base unshare --user --map-root-user "$0" build --nodes "$nodes" --rate "$rate" --prefix "$prefix" \
            --subnet "$subnet" --owner "$owner"
    fi
}

case $verb in
up)
    trap '[ $? = 0 ] || [ -z "$mine" ] || down' EXIT
    trap 'exit 130' INT TERM
    up ;;
build) build ;; # up's second half in a user namespace
exec)
    [ $# -ge 2 ] || fail "exec: expected NODE COMMAND"
    pid=$(holder "node$1") || fail "there is no node $1 under prefix $prefix"
    shift
    take=exec
    enter "$pid" "$@" ;;
bytes)
    [ -n "$(holder node0)" ] || fail "there is no cluster under prefix $prefix"
    for ((i = 0; ; i++)); do
        pid=$(holder "node$i") || break
        awk -v node=$i '$1 == "eth0:" { print node, $2, $10 }' "/proc/$pid/net/dev"
    done ;;
down) down ;;
help | --help | -h) usage ;;
*)
    usage >&2
    exit 2 ;;
esac
