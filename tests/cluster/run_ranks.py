#!/usr/bin/env python3
"""Runs a program as ranks on this host, preloaded, and holds what they did against what was expected.

    run_ranks.py --ranks 8 --preload LIB [--env NAME=VALUE] [--rank-env RANK:NAME=VALUE] [--plain RANK]
                 [--nodes 0,0,1,1] [--seconds 60] [--stop AFTER:FOR] [--exit 0] [--exit-of RANK:ANY]
                 [--said TEXT] [--not-said TEXT] [--replaced all|some|none|any] [--left REASON]
                 [--counted NAME] [--alike] -- COMMAND ...

Each rank gets RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, the files for the unique id, and NCCL_HOSTID from --nodes.
Statistics of the library are read back: --replaced looks at its counters, some and all
mean every communicator, any one of each process; --left wants that reason on every rank, --counted that counter above 0,
--alike wants all ranks to have replaced, agreed and left alone the same on every communicator of all ranks.
Exit status 1 with one sentence per expectation that was not met; what the ranks said is then shown.
Exit status 77 if all ranks ended with 77: the test does not apply here.
"""
import argparse
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time


def arguments():
    ap = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    ap.add_argument("--ranks", type=int, required=True)
    ap.add_argument("--preload", required=True)
    ap.add_argument("--runtime", help="a sanitizer's runtime, loaded before the library")
    ap.add_argument("--env", action="append", default=[])
    ap.add_argument("--rank-env", action="append", default=[])
    ap.add_argument("--library-of", action="append", default=[], help="RANK:LIB for a rank that has another library")
    ap.add_argument("--plain", type=int, action="append", default=[], help="a rank that runs without the library")
    ap.add_argument("--nodes", default="")
    ap.add_argument("--seconds", type=float, default=60)
    ap.add_argument("--stop", help="seconds after which all ranks are stopped, and for how long")
    ap.add_argument("--exit", type=int, default=0)
    ap.add_argument("--exit-of", action="append", default=[])
    ap.add_argument("--said", action="append", default=[])
    ap.add_argument("--not-said", action="append", default=[])
    ap.add_argument("--replaced", choices=["all", "some", "none", "any"])
    ap.add_argument("--left", action="append", default=[])
    ap.add_argument("--counted", action="append", default=[])
    ap.add_argument("--alike", action="store_true")
    ap.add_argument("command", nargs="+")
    return ap.parse_args()


def environment(args, rank, folder):
    nodes = args.nodes.split(",") if args.nodes else []
    local = nodes.count(nodes[rank]) if nodes else args.ranks
    env = dict(os.environ, RANK=str(rank), WORLD_SIZE=str(args.ranks), LOCAL_WORLD_SIZE=str(local),
               LOCAL_RANK=str(nodes[:rank].count(nodes[rank]) if nodes else rank),
               HOSTNCCL_ID_FILE=f"{folder}/id", MOE_PERF_ID_FILE=f"{folder}/id",
               HIERMOE_STATS_FILE=f"{folder}/stats.%r.%p", NCCL_SOCKET_IFNAME="lo")
    preload = [args.runtime] if args.runtime else []
    if rank not in args.plain:
        others = dict(item.split(":", 1) for item in args.library_of)
        preload.append(others.get(str(rank), args.preload))
    if preload:
        env["LD_PRELOAD"] = ":".join(preload)
    if nodes:
        env["NCCL_HOSTID"] = f"node{nodes[rank]}"
    for item in args.env:
        name, _, value = item.partition("=")
        env[name] = value
    for item in args.rank_env:
        who, _, rest = item.partition(":")
        name, _, value = rest.partition("=")
        if int(who) == rank:
            env[name] = value
    return env


def stop(processes, after, seconds):
    """What a batch system does that gives the machine to another job for a while."""
    for wait, number in (after, signal.SIGSTOP), (seconds, signal.SIGCONT):
        time.sleep(wait)
        for process in processes:
            process.send_signal(number)


def run(args, folder):
    """Exit status of every rank (None: still running when time was up) and what it said."""
    ranks = []
    for rank in range(args.ranks):
        out = open(f"{folder}/said.{rank}", "w+")
        ranks.append((subprocess.Popen(args.command, env=environment(args, rank, folder), stdout=out,
                                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL), out))
    end = time.monotonic() + args.seconds
    if args.stop:
        stop([process for process, _ in ranks], *map(float, args.stop.split(":")))
    status = []
    for process, _ in ranks:
        try:
            status.append(process.wait(max(0.01, end - time.monotonic())))
        except subprocess.TimeoutExpired:
            status.append(None)
    for process, _ in ranks:
        if process.poll() is None:
            process.kill()
            process.wait()
    said = []
    for _, out in ranks:
        out.seek(0)
        said.append(out.read())
        out.close()
    return status, said


def judge(args, status, said, stats):
    expected = {rank: args.exit for rank in range(args.ranks)}
    for item in args.exit_of:
        who, _, value = item.partition(":")
        expected[int(who)] = None if value == "ANY" else int(value)
    for rank, got in enumerate(status):
        if got is None:
            yield f"rank {rank} still ran after {args.seconds:g} s"
        elif expected[rank] is not None and got != expected[rank]:
            yield f"rank {rank} ended with {got}, expected {expected[rank]}"
    for text in args.said:
        if not any(text in words for words in said):
            yield f"nobody said {text!r}"
    for text in args.not_said:
        if any(text in words for words in said):
            yield f"somebody said {text!r}"
    if args.replaced or args.left or args.counted:
        if len({row["rank"] for row in stats}) != args.ranks - len(args.plain):
            yield f"statistics of {len(stats)} ranks, expected {args.ranks - len(args.plain)}"
    if args.replaced == "any":
        for pid in {row["pid"] for row in stats}:
            if not any(row["replaced"] for row in stats if row["pid"] == pid):
                yield f"process {pid} replaced nothing on any communicator"
    for name in args.counted:
        for pid in {row["pid"] for row in stats}:
            if not any(row[name] for row in stats if row["pid"] == pid):
                yield f"process {pid} counted nothing under {name}"
    outcomes = {}
    for row in stats if args.alike else []:
        if row["ranks"] == args.ranks:
            what = [row["replaced"], row["agreements"], row["depth"], row["left"]]
            outcomes.setdefault(row["communicator"], []).append(what)
    for number, found in outcomes.items():
        if any(what != found[0] for what in found):
            yield f"ranks treated communicator {number} differently: {found}"
    if args.alike and not outcomes:
        yield "no statistics of a communicator of all ranks"
    for row in stats:
        left = sum(row["left"].values())
        if args.replaced == "all" and (left or not row["replaced"]):
            yield f"rank {row['rank']} left {left} calls alone: {row['left']}"
        if args.replaced == "some" and not row["replaced"]:
            yield f"rank {row['rank']} replaced nothing: {row['left']}"
        if args.replaced == "none" and row["replaced"]:
            yield f"rank {row['rank']} replaced {row['replaced']} calls"
        for reason in args.left:
            if not row["left"].get(reason):
                yield f"rank {row['rank']} left no call alone for {reason}: {row['left']}"


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        status, said = run(args, folder)
        stats = [json.loads(line) for name in glob.glob(f"{folder}/stats.*") for line in open(name)]
    if all(ended == 77 for ended in status):
        return 77
    faults = list(judge(args, status, said, stats))
    if faults:
        for rank, words in enumerate(said):
            print(f"--- rank {rank}, exit status {status[rank]}\n{words}")
    for fault in faults:
        print(f"run_ranks: {fault}", file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
