#!/usr/bin/env python3
"""Measures all-to-alls plain and with the library, in turns, beside what an oracle says is there to be had.

    tests/gpu/results.py                                      the default shapes, about 4 minutes on two GPUs
    tests/gpu/results.py --shape 4x2:zipf:1:4096 --depth auto --depth 1 --depth 2
    tests/gpu/results.py --paper 4x8 --paper 2x8              the paper's shapes on eight GPUs

A shape is NODESxGPUS:ROUTING:TOKENS[/HIDDEN/EXPERTS/TOPK], with a routing of moe_perf and tokens a rank. Shapes of one
layout share their runs: ROUNDS times an oracle's run (integration/jobs/oracle.py), a plain and, for each depth, a preloaded
one of the job, in turns, and more of those with --against. The job is an unmodified PyTorch dispatch (integration/jobs/dispatch.py; a hash over all bytes
received must not change), or moe_perf (then every 4th iteration is checked byte for byte). Appends a JSON object a line to
tests/results/gpu.jsonl (and $OUT/gpu.jsonl) and prints a table. flat_ms, shim_ms: medians of the slowest rank's times over
all rounds; oracle: its best speedup, of the medians over its runs; share_of_oracle: speedup / oracle; wire_mb: what the
kernel counted between nodes for one exchange. Exit status 1 if a run failed, a byte was wrong or nothing was replaced at a
depth that was asked for.
"""
import argparse
import collections
import dataclasses
import datetime
import json
import os
import re
import sys

from harness import ROOT, Failed, Harness, gpu_count, gpu_name, median

# The paper's (2508.09591, 5.1 and Table IV): its two models, top-k, experts, tokens; and a skewed routing.
PAPER = ["uniform:1024/2048/128/6", "uniform:1024/2048/128/8", "uniform:1024/2048/128/10", "uniform:1024/2048/64/8",
         "uniform:1024/2048/256/8", "uniform:1024/3584/256/8", "uniform:4096/2048/128/8", "uniform:4096/3584/256/8",
         "zipf:1:1024/2048/128/8"]
SHAPES = ["4x2:uniform:4096", "4x2:zipf:1:4096", "2x2:uniform:4096", "1x2:uniform:16384"]


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--shape", action="append", help=f"(default {' '.join(SHAPES)})")
    ap.add_argument("--paper", action="append", default=[], metavar="NODESxGPUS", help="the paper's shapes there")
    ap.add_argument("--depth", action="append", help="HIERMOE_DEPTH of the preloaded runs (default auto)")
    ap.add_argument("--job", choices=("torch", "moe_perf"), default="torch", help="(default torch)")
    ap.add_argument("--hidden", type=int, default=2048)
    ap.add_argument("--experts", type=int, default=128)
    ap.add_argument("--topk", type=int, default=8)
    ap.add_argument("--iters", type=int, default=30, help="timed, in each run (default 30)")
    ap.add_argument("--rounds", type=int, default=3, help="runs of each kind (default 3)")
    ap.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="for the preloaded runs")
    ap.add_argument("--against", action="append", default=[], metavar="NAME=VALUE",
                    help="further preloaded runs of every depth with this set, in turns with the others")
    ap.add_argument("--append", default=str(ROOT / "tests" / "results" / "gpu.jsonl"), metavar="FILE")
    ap.add_argument("--seconds", type=float, default=120, help="for one run (default 120)")
    ap.add_argument("--budget", type=float, default=560, help="seconds for everything (default 560)")
    ap.add_argument("--no-oracle", action="store_true")
    ap.add_argument("--nccl", metavar="FOLDER", help="run with the libnccl.so.2 there, with or without GPUs")
    args = ap.parse_args()
    args.layouts = {}
    paper = [f"{layout}:{shape}" for layout in args.paper for shape in PAPER]
    for text in (args.shape or []) + paper or SHAPES:
        match = re.fullmatch(r"(\d+)x(\d+):(.+):(\d+)(?:/(\d+)/(\d+)/(\d+))?", text)
        if not match:
            ap.error(f"--shape: expected NODESxGPUS:ROUTING:TOKENS or NODESxGPUS:ROUTING:TOKENS/HIDDEN/EXPERTS/TOPK, "
                     f"got '{text}'")
        hidden, experts, topk = map(int, match.groups()[4:]) if match[5] else (args.hidden, args.experts, args.topk)
        shape = Shape(text, match[3], int(match[4]), hidden, experts, topk)
        args.layouts.setdefault((int(match[1]), int(match[2])), []).append(shape)
    return args


@dataclasses.dataclass
class Shape:
    text: str
    routing: str
    tokens: int
    hidden: int
    experts: int
    topk: int

    def zipf(self):
        """The exponent of its routing; None where it has none."""
        if self.routing == "uniform":
            return 0.0
        return float(self.routing.split(":")[1]) if self.routing.startswith("zipf:") else None


@dataclasses.dataclass
class Seen:
    """Of one run and shape: times of its iterations, bytes between nodes, and the depth that was used most."""
    ms: list
    wire_mb: float = None
    depth: int = None


class Layout:
    def __init__(self, args, harness, nodes, gpus, shapes):
        self.args, self.h, self.nodes, self.gpus, self.shapes, self.hash = args, harness, nodes, gpus, shapes, {}

    def perf(self, preload, env):
        """What one run of each shape took, and the ranks. Every byte is as it must be."""
        return (self.perf_torch if self.args.job == "torch" else self.perf_native)(preload, env)

    def torch(self, job, preload=False, env=()):
        """A job of integration/jobs over all shapes, once; its JSON lines and the ranks."""
        for shape in self.shapes:
            if shape.zipf() is None:
                raise Failed(f"{shape.routing}: --job torch knows uniform and zipf:S")
        sizes = [f"--size={s.tokens}:{s.hidden}:{s.experts}:{s.topk}:{s.zipf()}" for s in self.shapes]
        ranks = self.h.ranks(self.nodes, self.gpus, ["python3", ROOT / "integration" / "jobs" / job, *sizes, "--iters",
                                                     self.args.iters], preload=preload, env=env, seconds=self.args.seconds)
        lines = ranks.json_lines()
        if len(lines) != len(self.shapes):
            raise Failed(f"{job}: expected {len(self.shapes)} lines of JSON, got {len(lines)}")
        return lines, ranks

    def perf_torch(self, preload, env):
        lines, ranks = self.torch("dispatch.py", preload, {**env, "HIERMOE_DEBUG": "TRACE"} if preload else env)
        for shape, said in zip(self.shapes, lines):
            if said["hash"] != self.hash.setdefault(shape.text, said["hash"]):
                raise Failed(f"{shape.text}: OTHER BYTES than plain")
        parts = re.split(r"^\{.*\n", ranks.said[0], flags=re.MULTILINE)
        depths = [collections.Counter(re.findall(r"TRACE depth (\d+) took", part)) for part in parts]
        return [Seen(said["all_ms"], said["wire_mb"], int(depth.most_common(1)[0][0]) if depth else None)
                for said, depth in zip(lines, depths)], ranks

    def perf_native(self, preload, env):
        seen = []
        for shape in self.shapes:
            path = self.h.temporary / "perf.json"
            path.unlink(missing_ok=True)
            # Several routings, as in a job: from the counts of a single one no row size might be seen.
            command = [self.h.program("moe_perf"), "--tokens", shape.tokens, "--hidden", shape.hidden, "--experts",
                       shape.experts, "--topk", shape.topk, "--routing", shape.routing, "--layers", 3, "--check", 4,
                       "--warmup", 12, "--iters", self.args.iters, "--wire-if", "lo", "--json", path]
            ranks = self.h.ranks(self.nodes, self.gpus, command, preload=preload, seconds=self.args.seconds,
                                 env={"HIERMOE_TRUST": "moe_perf_all_to_all_v", **env})
            said = json.loads(path.read_text())["results"]["dispatch"]
            if said["wrong"] or not said["checked_bytes"]:
                raise Failed(f"{said['wrong']} bytes wrong of {said['checked_bytes']} checked")
            used = [sum(line["depth"][d] for line in ranks.stats) for d in range(8)]
            seen.append(Seen(said["ms"]["all"], said["wire"]["bytes"] / 1e6, used.index(max(used))))
        return seen, ranks

    def oracle(self):
        """What one run says of each shape; None where it does not know a routing or has no torch."""
        if self.args.no_oracle or self.h.nccl or any(shape.zipf() is None for shape in self.shapes):
            return None
        return self.torch("oracle.py")[0]

    @staticmethod
    def oracle_sum(runs):
        """Of one shape: the best speedup of the medians over the runs, those, and bytes between nodes."""
        if None in runs:
            return None
        ms = {part: round(median([run["ms"][part] for run in runs]), 4) for part in runs[0]["ms"]}
        best = ms["flat"] / ms["per_gpu"]
        if "across_nodes" in ms:
            best = max(best, ms["flat"] / (ms["across_nodes"] + ms["inside_node"]))
        return {"best": round(best, 3), "ms": ms, "wire_mb": runs[-1]["wire_mb"]}

    def measure(self):
        """One result for each shape and depth; plain runs are shared by the depths and take turns with theirs."""
        kinds = [(depth, tuple(self.args.env + more)) for more in [[], *([item] for item in self.args.against)]
                 for depth in self.args.depth or ["auto"]]
        oracles, plain, shim, ranks = [], [], {kind: [] for kind in kinds}, {}
        for _ in range(self.args.rounds):
            oracles.append(self.oracle())
            plain.append(self.perf(False, {})[0])
            for depth, given in kinds:
                env = {"HIERMOE_DEPTH": depth, **dict(item.split("=", 1) for item in given)}
                seen, ranks[depth, given] = self.perf(True, env)
                shim[depth, given].append(seen)
        for i, shape in enumerate(self.shapes):
            oracle = self.oracle_sum([said and said[i] for said in oracles])
            for kind in kinds:
                yield self.result(shape, *kind, [run[i] for run in plain], [run[i] for run in shim[kind]], ranks[kind],
                                  oracle)

    def result(self, shape, depth, given, plain, shim, ranks, oracle):
        args = self.args
        if depth not in ("0", "auto") and not ranks.replaced():
            raise Failed(f"{shape.text}: depth {depth}: nothing was replaced; left alone: {ranks.left()}")
        flat, ours = (median([ms for run in runs for ms in run.ms]) for runs in (plain, shim))
        best = oracle and oracle["best"]
        text = f"{self.nodes}x{self.gpus}:{shape.routing}:{shape.tokens}/{shape.hidden}/{shape.experts}/{shape.topk}"
        options = "".join(f" --{n} {getattr(args, n)}" for n in ("job", "iters", "rounds"))
        options += "".join(f" --env {item}" for item in given)
        return dict(name=f"dispatch {self.nodes}x{self.gpus} {shape.routing}", job=args.job, nodes=self.nodes,
                    gpus=self.gpus, routing=shape.routing, tokens=shape.tokens, hidden=shape.hidden,
                    experts=shape.experts, topk=shape.topk, dtype="bf16", mode="exact", depth=depth, env=list(given),
                    depth_used=shim[-1].depth, flat_ms=round(flat, 4), shim_ms=round(ours, 4),
                    speedup=round(flat / ours, 3), oracle=best, share_of_oracle=round(flat / ours / best, 3) if best else None,
                    oracle_ms=oracle and oracle["ms"], flat_wire_mb=plain[-1].wire_mb, shim_wire_mb=shim[-1].wire_mb,
                    oracle_wire_mb=oracle and oracle["wire_mb"], exact=True, replaced=ranks.replaced(), left=ranks.left(),
                    gpu=gpu_name(), date=datetime.date.today().isoformat(),
                    command=f"tests/gpu/results.py --shape {text} --depth {depth}{options}")


def show(rows):
    print(f"{'shape':44} {'depth':>10} {'flat ms':>9} {'shim ms':>9} {'speedup':>8} {'oracle':>7} {'share':>6} "
          f"{'wire MB flat, shim, oracle':>28}")
    for row in rows:
        shape = "{nodes}x{gpus} {routing} {tokens}/{hidden}/{experts}/{topk}".format(**row)
        depth = f"{row['depth']} ({row['depth_used']})"
        shape += "".join(" " + item.removeprefix("HIERMOE_") for item in row["env"])
        oracle = f"{row['oracle']:.2f}" if row["oracle"] else "-"
        share = f"{100 * row['share_of_oracle']:.0f}%" if row["oracle"] else "-"
        least = (row["oracle_wire_mb"] or {}).get("across_nodes")
        print(f"{shape:44} {depth:>10} {row['flat_ms']:>9.3f} {row['shim_ms']:>9.3f} {row['speedup']:>7.2f}x "
              f"{oracle:>7} {share:>6} {row['flat_wire_mb'] or '-':>10} {row['shim_wire_mb'] or '-':>8} {least or '-':>8}")


def main():
    args = arguments()
    most = max(gpus for _, gpus in args.layouts)
    if not args.nccl and most > gpu_count():
        print(f"results: expected {most} GPUs, found {gpu_count()}", file=sys.stderr)
        return 77
    out = os.environ.get("OUT")
    harness = Harness(out or ROOT / "build" / "gpu", 0, args.nccl, args.budget)
    files = [args.append] + ([os.path.join(out, "gpu.jsonl")] if out else [])
    rows, failed = [], 0
    try:
        for (nodes, gpus), shapes in args.layouts.items():
            try:
                for row in Layout(args, harness, nodes, gpus, shapes).measure():
                    rows.append(row)
                    for path in files:
                        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
                        with open(path, "a") as file:
                            file.write(json.dumps(row) + "\n")
            except Failed as why:
                failed += 1
                print(f"FAIL {nodes}x{gpus}: {why}", flush=True)
    finally:
        harness.close()
        show(rows)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
