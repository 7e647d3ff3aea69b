#!/usr/bin/env python3
"""hiermoe ab around the benchmark on eight ranks of four nodes, preloaded for real; what the library counted, reported.

    test_cluster.py BUILD

Nothing is compared with a clock: what the runs take is theirs to say.
"""
import json
import os
import subprocess
import sys
import tempfile

from where import AB, REPORT, ROOT
from report import lines
from pathlib import Path

RANKS, PAIRS = 8, 2
JOB = ('NCCL_HOSTID=node$((RANK / 2)) exec "$0" --iters 4 --warmup 2 --hidden 256 --tokens 128 --timeout 900 '
       '--id-file "$HOSTNCCL_ID_FILE"')


def fail(words):
    print(f"FAILED: {words}")
    sys.exit(1)


def run(command, folder, build):
    env = dict(os.environ, LD_LIBRARY_PATH=f"{build}/tests/hostnccl", NODES_TIMEOUT="900",
               NODES_PREFIX=f"ab{os.getpid()}x", NCCL_SOCKET_IFNAME="lo",
               HIERMOE_TRUST="moe_perf_all_to_all_v", HIERMOE_TEST_PATIENCE="1000000000",
               HIERMOE_PROFILE=f"{ROOT}/tests/cluster/slow_nodes.profile", HIERMOE_DEPTH="2")
    for name in ("LD_PRELOAD", "HIERMOE_STATS_FILE"):
        env.pop(name, None)
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=folder)
    if done.returncode != 0:
        fail(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def figures_check(figures):
    if [run["kind"] for run in figures["runs"]] != ["plain", "hiermoe", "hiermoe", "plain", "plain"]:
        fail(f"runs {figures['runs']}")
    expected = dict(ranks=RANKS, ranks_seen=RANKS, nodes=4, loss_equal=True, depth=2, format="moe_perf", left={})
    for key, value in expected.items():
        if figures[key] != value:
            fail(f"{key}: {figures[key]}, expected {value}")
    if figures["replaced"] != 2 * RANKS * 6:
        fail(f"{figures['replaced']} calls replaced, expected each of 6 in 2 runs on {RANKS} ranks")
    raw, sent = (figures["bytes"][f"bytes_{kind}_between_nodes"] for kind in ("raw", "sent"))
    if not 0 < sent < 0.8 * raw:
        fail(f"{sent} instead of {raw} bytes between nodes")
    low, high = figures["interval"]
    if not low < figures["speedup"] < high or figures["step_ms"] <= 0:
        fail(f"speedup {figures['speedup']} in {low} to {high}")


def report_check(said, folder):
    found = lines.read(sorted(folder.glob("stats.*")))
    for key in ("bytes_raw", "bytes_sent", "bytes_raw_between_nodes", "replaced", "rows"):
        if f"{lines.total(found, key):.0f}" not in said.split(f"\n{key} ")[-1].splitlines()[0].split():
            fail(f"{key} is not {lines.total(found, key)} in {said}")
    for title in ("Calls", "Time", "Bytes by level", "Traffic from node to node", "Predicted gain", "Ranks compared"):
        if f"\n{title}\n" not in said:
            fail(f"no section {title} in {said}")


def keys_check(listed, folder):
    """hiermoe counters lists every key of a line, and no other."""
    known = {line.split()[0] for line in listed.split("\n\n")[0].splitlines() if line.startswith("  ")}
    found = set(lines.read([next(iter(sorted(folder.glob("stats.*"))))])[0])
    if known != found:
        fail(f"listed and not written or written and not listed: {sorted(known ^ found)}")


def main():
    build = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="hiermoe-ab-") as name:
        folder = Path(name)
        run([AB, "--library", f"{build}/lib/libhiermoe.so", "--repeat", str(PAIRS), "--dir", f"{folder}/runs", "--json",
             f"{folder}/figures", "--", f"{ROOT}/tests/hostnccl/nodes.sh", "run", str(RANKS), "sh", "-c", JOB,
             f"{build}/bin/moe_perf"], folder, build)
        figures_check(json.loads((folder / "figures").read_text(encoding="utf-8")))
        report_check(run([REPORT, *map(str, sorted((folder / "runs" / "1.hiermoe").glob("stats.*")))], folder, build),
                     folder / "runs" / "1.hiermoe")
        keys_check(run([f"{build}/bin/hiermoe", "counters"], folder, build), folder / "runs" / "1.hiermoe")


if __name__ == "__main__":
    main()
