#!/usr/bin/env python3
"""Measures all-to-alls plain and with the library, in turns, beside what an oracle says is there to be had.

    tests/gpu/results.py                                      the default shapes, about 4 minutes on two GPUs
    tests/gpu/results.py --shape 4x2:zipf:1:4096 --depth auto --depth 1 --depth 2

A shape is NODESxGPUS:ROUTING:TOKENS, with a routing of moe_perf and tokens a rank. For each shape and depth: ROUNDS times
an oracle's run (integration/jobs/oracle.py), a plain and a preloaded one of the job, in turns. The job is an unmodified
PyTorch dispatch (integration/jobs/dispatch.py; a hash over all bytes received must not change), or moe_perf (then every
4th iteration is checked byte for byte). Appends a JSON object a line to tests/results/gpu.jsonl (and $OUT/gpu.jsonl) and prints a
table. flat_ms, shim_ms: medians of the slowest rank's times over all rounds; oracle: its best speedup, of the medians
over its runs; share_of_oracle: speedup / oracle. Exit status 1 if a run failed, a byte was wrong or nothing was replaced at a depth that was asked for.
"""
import argparse
import datetime
import json
import os
import re
import sys

from harness import ROOT, Failed, Harness, gpu_count, gpu_name, median

SHAPES = ["4x2:uniform:4096", "4x2:zipf:1:4096", "2x2:uniform:4096", "1x2:uniform:16384"]


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--shape", action="append", help=f"(default {' '.join(SHAPES)})")
    ap.add_argument("--depth", action="append", help="HIERMOE_DEPTH of the preloaded runs (default auto)")
    ap.add_argument("--job", choices=("torch", "moe_perf"), default="torch", help="(default torch)")
    ap.add_argument("--hidden", type=int, default=2048)
    ap.add_argument("--experts", type=int, default=128)
    ap.add_argument("--topk", type=int, default=8)
    ap.add_argument("--iters", type=int, default=30, help="timed, in each run (default 30)")
    ap.add_argument("--rounds", type=int, default=3, help="runs of each kind (default 3)")
    ap.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="for the preloaded runs")
    ap.add_argument("--append", default=str(ROOT / "tests" / "results" / "gpu.jsonl"), metavar="FILE")
    ap.add_argument("--budget", type=float, default=560, help="seconds for everything (default 560)")
    ap.add_argument("--no-oracle", action="store_true")
    ap.add_argument("--nccl", metavar="FOLDER", help="run with the libnccl.so.2 there, with or without GPUs")
    args = ap.parse_args()
    args.shapes = []
    for text in args.shape or SHAPES:
        match = re.fullmatch(r"(\d+)x(\d+):(.+):(\d+)", text)
        if not match:
            ap.error(f"--shape: expected NODESxGPUS:ROUTING:TOKENS, got '{text}'")
        args.shapes.append((text, int(match[1]), int(match[2]), match[3], int(match[4])))
    return args


class Shape:
    def __init__(self, args, harness, shape):
        self.args, self.h = args, harness
        self.text, self.nodes, self.gpus, self.routing, self.tokens = shape
        self.hash = None
        self.zipf = {"uniform": 0.0}.get(self.routing)
        if self.routing.startswith("zipf:"):
            self.zipf = float(self.routing.split(":")[1])
        self.size = ["--tokens", self.tokens, "--hidden", args.hidden, "--experts", args.experts, "--topk", args.topk]

    def perf(self, preload, env):
        """Times of one run, and what was replaced. Every byte is as it must be."""
        return (self.perf_torch if self.args.job == "torch" else self.perf_native)(preload, env)

    def perf_torch(self, preload, env):
        if self.zipf is None:
            raise Failed(f"{self.routing}: --job torch knows uniform and zipf:S")
        ranks = self.h.ranks(self.nodes, self.gpus, ["python3", ROOT / "integration" / "jobs" / "dispatch.py", *self.size,
                                                     "--zipf", self.zipf, "--iters", self.args.iters],
                             preload=preload, env=env, seconds=120)
        said = ranks.json_lines()[-1]
        self.hash = self.hash or said["hash"]
        if said["hash"] != self.hash:
            raise Failed("OTHER BYTES than plain")
        return said["all_ms"], ranks

    def perf_native(self, preload, env):
        path = self.h.temporary / "perf.json"
        path.unlink(missing_ok=True)
        # Several routings, as in a job: from the counts of a single one no row size might be seen.
        command = [self.h.program("moe_perf"), *self.size, "--routing", self.routing, "--layers", 3, "--check", 4,
                   "--warmup", 12, "--iters", self.args.iters, "--json", path]
        env = {"HIERMOE_TRUST": "moe_perf_all_to_all_v", **env}
        ranks = self.h.ranks(self.nodes, self.gpus, command, preload=preload, env=env, seconds=120)
        said = json.loads(path.read_text())["results"]["dispatch"]
        if said["wrong"] or not said["checked_bytes"]:
            raise Failed(f"{said['wrong']} bytes wrong of {said['checked_bytes']} checked")
        return said["ms"]["all"], ranks

    def oracle(self):
        """Times of the oracle's parts; None where it does not know the routing or has no torch."""
        if self.args.no_oracle or self.h.nccl or self.zipf is None:
            return None
        ranks = self.h.ranks(self.nodes, self.gpus, ["python3", ROOT / "integration" / "jobs" / "oracle.py", *self.size,
                                                     "--zipf", self.zipf, "--iters", self.args.iters], seconds=120)
        return ranks.json_lines()[-1]["ms"]

    @staticmethod
    def oracle_sum(runs):
        """The best speedup of the medians over the runs, and those."""
        if None in runs:
            return None
        ms = {part: median([run[part] for run in runs]) for part in runs[0]}
        best = ms["flat"] / ms["per_gpu"]
        if "across_nodes" in ms:
            best = max(best, ms["flat"] / (ms["across_nodes"] + ms["inside_node"]))
        return {"best": best, "ms": ms}

    def measure(self):
        """One result for each depth; plain runs are shared by them and take turns with theirs."""
        depths, oracles = self.args.depth or ["auto"], []
        given = dict(item.split("=", 1) for item in self.args.env)
        flat, shim, seen = [], {d: [] for d in depths}, {}
        for _ in range(self.args.rounds):
            oracles.append(self.oracle())
            flat += self.perf(False, {})[0]
            for depth in depths:
                times, seen[depth] = self.perf(True, {"HIERMOE_DEPTH": depth, **given})
                shim[depth] += times
        for depth in depths:
            yield self.result(depth, median(flat), median(shim[depth]), seen[depth], self.oracle_sum(oracles))

    def result(self, depth, flat, shim, ranks, oracle):
        args = self.args
        if depth not in ("0", "auto") and not ranks.replaced():
            raise Failed(f"{self.text}: depth {depth}: nothing was replaced; left alone: {ranks.left()}")
        used = [sum(line["depth"][d] for line in ranks.stats) for d in range(8)]
        best = round(oracle["best"], 3) if oracle else None
        options = "".join(f" --{n} {getattr(args, n)}" for n in ("job", "hidden", "experts", "topk", "iters", "rounds"))
        options += "".join(f" --env {item}" for item in args.env)
        return dict(name=f"dispatch {self.nodes}x{self.gpus} {self.routing}", job=args.job, nodes=self.nodes, gpus=self.gpus,
                    routing=self.routing, tokens=self.tokens, hidden=args.hidden, experts=args.experts, topk=args.topk,
                    dtype="bf16", mode="exact", depth=depth, depth_used=used.index(max(used)),
                    flat_ms=round(flat, 4), shim_ms=round(shim, 4), speedup=round(flat / shim, 3), oracle=best,
                    share_of_oracle=round(flat / shim / best, 3) if best else None,
                    oracle_ms={k: round(v, 4) for k, v in oracle["ms"].items()} if oracle else None, exact=True, replaced=ranks.replaced(),
                    left=ranks.left(), gpu=gpu_name(), date=datetime.date.today().isoformat(),
                    command=f"tests/gpu/results.py --shape {self.text} --depth {depth}{options}")


def show(rows):
    print(f"{'shape':28} {'depth':>10} {'flat ms':>9} {'shim ms':>9} {'speedup':>8} {'oracle':>7} {'share':>6}")
    for row in rows:
        shape = f"{row['nodes']}x{row['gpus']} {row['routing']} {row['tokens']}x{row['hidden']}"
        depth = f"{row['depth']} ({row['depth_used']})"
        oracle = f"{row['oracle']:.2f}" if row["oracle"] else "-"
        share = f"{100 * row['share_of_oracle']:.0f}%" if row["oracle"] else "-"
        print(f"{shape:28} {depth:>10} {row['flat_ms']:>9.3f} {row['shim_ms']:>9.3f} {row['speedup']:>7.2f}x "
              f"{oracle:>7} {share:>6}")


def main():
    args = arguments()
    if not args.nccl and max(shape[2] for shape in args.shapes) > gpu_count():
        print(f"results: expected {max(shape[2] for shape in args.shapes)} GPUs, found {gpu_count()}", file=sys.stderr)
        return 77
    out = os.environ.get("OUT")
    harness = Harness(out or ROOT / "build" / "gpu", 0, args.nccl, args.budget)
    files = [args.append] + ([os.path.join(out, "gpu.jsonl")] if out else [])
    rows, failed = [], 0
    try:
        for shape in args.shapes:
            try:
                for row in Shape(args, harness, shape).measure():
                    rows.append(row)
                    for path in files:
                        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
                        with open(path, "a") as file:
                            file.write(json.dumps(row) + "\n")
            except Failed as why:
                failed += 1
                print(f"FAIL {shape[0]}: {why}", flush=True)
    finally:
        harness.close()
        show(rows)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
