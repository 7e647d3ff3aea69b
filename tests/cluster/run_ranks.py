#!/usr/bin/env python3
"""Runs a program as ranks on this host, preloaded, and holds what they did against what was expected.

    run_ranks.py --ranks 8 --preload LIB [--env NAME=VALUE] [--rank-env RANK:NAME=VALUE] [--plain RANK]
                 [--nodes 0,0,1,1] [--seconds 900] [--outstay RANK] [--exit 0] [--exit-of RANK:ANY]
                 [--trivial COMMAND [--paced NAME=SECONDS] [--stop AFTER:FOR]]
                 [--said TEXT] [--not-said TEXT] [--replaced all|some|none|any] [--left REASON]
                 [--counted NAME] [--alike] -- COMMAND ...

Each rank gets RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, the files for the unique id, and NCCL_HOSTID from --nodes.
Only what hangs comes to --seconds, on any machine. Where a wait has to end by a time-out, it is given as --paced: then
--trivial, a short command, is run first on the same ranks, and the more often TRIVIAL_SECONDS it takes, the longer are
the times of --paced and --stop; the ranks find the factor in HM_TEST_PACE. A rank with --outstay reads the end of its
standard input when all others have ended.
Statistics of the library are read back, the last line of each communicator: --replaced looks at its counters, some and
all mean every communicator, any one of each process; --left wants that reason on every rank, --counted that counter above 0,
--alike wants all ranks to have replaced, agreed and left alone the same on every communicator of all ranks.
Exit status 1 with one sentence per expectation that was not met; what the ranks said is then shown.
Exit status 77 if all ranks ended with 77: the test does not apply here.
"""
import argparse
import glob
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time


TRIVIAL_SECONDS = 0.3  # what one all-to-all of four ranks takes from start to end on an idle core of 2023


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
    ap.add_argument("--seconds", type=float, default=900)
    ap.add_argument("--trivial", type=shlex.split, help="what --paced and --stop are held against")
    ap.add_argument("--paced", action="append", default=[], help="NAME=SECONDS, an environment variable")
    ap.add_argument("--stop", help="seconds after which all ranks are stopped, and for how long")
    ap.add_argument("--outstay", type=int, action="append", default=[], help="a rank that waits for the others' end")
    ap.add_argument("--exit", type=int, default=0)
    ap.add_argument("--exit-of", action="append", default=[])
    ap.add_argument("--said", action="append", default=[])
    ap.add_argument("--not-said", action="append", default=[])
    ap.add_argument("--replaced", choices=["all", "some", "none", "any"])
    ap.add_argument("--left", action="append", default=[])
    ap.add_argument("--counted", action="append", default=[])
    ap.add_argument("--alike", action="store_true")
    ap.add_argument("command", nargs="+")
    args = ap.parse_args()
    if (args.paced or args.stop) and not args.trivial:
        ap.error("--paced and --stop: expected --trivial too")
    return args


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


def start(command, args, folder, env_of):
    """All ranks of a command, and the files that take what they say."""
    ranks = []
    for rank in range(args.ranks):
        out = open(f"{folder}/said.{rank}", "w+")
        waits = subprocess.PIPE if rank in args.outstay else subprocess.DEVNULL
        ranks.append((subprocess.Popen(command, env=env_of(rank), stdout=out, stderr=subprocess.STDOUT, stdin=waits), out))
    return ranks


def wait(process, end):
    try:
        return process.wait(max(0.01, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None


def finish(ranks, args, end):
    """Exit status of every rank (None: still running when time was up) and what it said."""
    status = [None if rank in args.outstay else wait(process, end) for rank, (process, _) in enumerate(ranks)]
    for rank in args.outstay:
        ranks[rank][0].stdin.close()
        status[rank] = wait(ranks[rank][0], end)
    said = []
    for process, out in ranks:
        if process.poll() is None:
            process.kill()
            process.wait()
        out.seek(0)
        said.append(out.read())
        out.close()
    return status, said


def pace_measure(args):
    """How many times longer than usual a trivial run takes on this machine just now, at least 1."""
    plain = argparse.Namespace(**{**vars(args), "rank_env": [], "library_of": [], "plain": []})
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        ranks = start(args.trivial, plain, folder, lambda rank: environment(plain, rank, folder))
        status, said = finish(ranks, plain, begin + args.seconds)
        if any(code != 0 for code in status):
            sys.exit(f"run_ranks: {shlex.join(args.trivial)} ended with {status}: {said}")
        return max(1.0, (time.monotonic() - begin) / TRIVIAL_SECONDS)


def run(args, folder):
    """Exit status of every rank (None: still running when time was up) and what it said."""
    pace = pace_measure(args) if args.trivial else 1.0

    def env_of(rank):
        env = dict(environment(args, rank, folder), HM_TEST_PACE=f"{pace:.2f}")
        for name, _, value in (item.partition("=") for item in args.paced):
            env[name] = str(math.ceil(float(value) * pace))
        return env

    ranks = start(args.command, args, folder, env_of)
    end = time.monotonic() + args.seconds
    if args.stop:
        stop([process for process, _ in ranks], *(float(part) * pace for part in args.stop.split(":")))
    return finish(ranks, args, end)


def sums_judge(row):
    """Bytes by node and times by bucket add up to the counters beside them."""
    for kind in ("raw", "sent"):
        whole, to = row[f"bytes_{kind}"], row[f"bytes_{kind}_to_node"]
        own = to[row["node"]] if row["node"] < len(to) else 0
        if sum(to) != whole or whole - own != row[f"bytes_{kind}_between_nodes"]:
            yield f"rank {row['rank']}: bytes_{kind} {whole} and those between nodes do not fit {to}"
    for kind in ("measured", "measured_plain"):
        if sum(row[f"{kind}_log2_us"]) != row[f"{kind}_calls"]:
            yield f"rank {row['rank']}: {kind}_log2_us {row[f'{kind}_log2_us']} for {row[f'{kind}_calls']} calls"


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
    for row in stats:
        yield from sums_judge(row)
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


def statistics(folder):
    """The last line of each communicator of each process: counters are cumulative."""
    last = {}
    for name in glob.glob(f"{folder}/stats.*"):
        for row in map(json.loads, open(name)):
            last[row["host"], row["pid"], row["communicator"]] = row
    return list(last.values())


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        status, said = run(args, folder)
        stats = statistics(folder)
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
