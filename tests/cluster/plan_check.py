#!/usr/bin/env python3
"""Measures profiles on emulated nodes, then holds the planner against the clock: is the predicted time right, and is the
depth it takes the fastest one?

    plan_check.py --build BUILD [--rate 1gbit] [--repeats 3] [--only NAME,...] [--json FILE] [--prior]
                  [--within 10] [--best 3] [--smoke] [--gpu]

On each layout of nodes there are --repeats rounds, since machines get slower and faster: a job that fits a profile
(HIERMOE_FIT_FILE), then each shape with HIERMOE_DEPTH forced to 0, 1, ... in turn and once with HIERMOE_PROFILE=auto. A
time is the median over iterations of the slowest rank, then the median over rounds; its spread over rounds is printed
beside it ("noise"). Predicted is what the usual profile of all starts that fitted (`hiermoe profile FILE...`) says,
chosen the depth that the planner takes with it. "same job" holds what the jobs with HIERMOE_PROFILE=auto, which measured
the profile themselves, predicted for the depth they chose against their own times. "refined" is the prediction for the
last call of the runs at the chosen depth, when earlier ones have taught it. Needs root or user namespaces (netns.sh);
with --gpu, GPUs and real NCCL (tests/gpu/nodes.sh) instead. --prior uses no profile. Exit status 1 where more shapes
than half miss a bound; --smoke: only where a run fails or says no prediction or time, on any machine.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

JOB_SECONDS = 900  # only what hangs comes to it
HERE = os.path.dirname(os.path.abspath(__file__))
# name: nodes, ranks a node, HIERMOE_TOPO or None
LAYOUTS = {"4x2": (4, 2, None), "2x4": (2, 4, None), "8x1": (8, 1, None), "3x2": (3, 2, None), "1x4": (1, 4, None),
           "2x2x2": (2, 4, "2,2,2")}
# layout, tokens, hidden, topk, experts, routing
SHAPES = [("4x2", 1024, 1024, 8, 128, "uniform"), ("4x2", 1024, 1024, 8, 128, "zipf:1"),
          ("4x2", 2048, 256, 2, 128, "uniform"), ("4x2", 512, 2048, 1, 64, "uniform"),
          ("2x4", 1024, 1024, 8, 128, "uniform"), ("2x4", 1024, 1024, 4, 64, "group:8:2"),
          ("8x1", 1024, 1024, 8, 128, "uniform"), ("8x1", 512, 1024, 2, 128, "uniform"),
          ("3x2", 1024, 1024, 6, 96, "uniform"), ("3x2", 1024, 512, 1, 96, "zipf:1"),
          ("1x4", 1024, 1024, 8, 64, "uniform"), ("1x4", 1024, 1024, 1, 64, "uniform"),
          ("2x2x2", 1024, 1024, 8, 128, "uniform"), ("2x2x2", 1024, 1024, 2, 128, "uniform")]


GPU_LAYOUTS = {"1x2": (1, 2, None), "2x2": (2, 2, None), "4x2": (4, 2, None)}
GPU_SHAPES = [("1x2", 16384, 2048, 8, 128, "uniform"), ("1x2", 4096, 2048, 8, 128, "uniform"),
              ("1x2", 16384, 2048, 1, 128, "uniform"), ("1x2", 16384, 1024, 2, 128, "zipf:1"),
              ("2x2", 4096, 2048, 8, 128, "uniform"), ("2x2", 4096, 1024, 4, 128, "zipf:1"),
              ("2x2", 4096, 2048, 1, 128, "uniform"), ("2x2", 1024, 2048, 8, 64, "uniform"),
              ("4x2", 4096, 2048, 8, 128, "uniform"), ("4x2", 4096, 2048, 8, 128, "zipf:1"),
              ("4x2", 4096, 2048, 1, 128, "uniform"), ("4x2", 2048, 1024, 4, 64, "group:8:2")]


class GpuCluster:
    """Nodes of one layout on this machine's GPUs; they need nothing made before and nothing undone."""

    def __init__(self, args, layout):
        self.args = args
        self.nodes, self.per_node, _ = GPU_LAYOUTS[layout]

    def close(self):
        pass

    def run(self, folder, options, settings):
        for name in ("out.json", "stats"):
            if os.path.exists(f"{folder}/{name}"):
                os.unlink(f"{folder}/{name}")
        env = dict(os.environ, LOG_DIR=f"{folder}/ranks", TIMEOUT="60", PRELOAD=f"{self.args.build}/lib/libhiermoe.so",
                   HIERMOE_TRUST="moe_perf_all_to_all_v", HIERMOE_DEBUG="TRACE", **settings)
        command = [f"{HERE}/../gpu/nodes.sh", str(self.nodes), str(self.per_node), "--", f"{self.args.build}/bin/moe_perf",
                   "--check", "0", "--json", f"{folder}/out.json", *options]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        with open(f"{folder}/out.json") as file:
            return json.load(file), None, done.stdout


class Cluster:
    """Nodes of one layout, gone when it closes."""

    def __init__(self, args, layout):
        self.args, self.layout = args, layout
        self.nodes, self.per_node, self.topo = LAYOUTS[layout]
        self.prefix = f"pc{os.getpid()}"
        subprocess.run([f"{HERE}/netns.sh", "up", "--nodes", str(self.nodes), "--rate", args.rate, "--prefix",
                        self.prefix, "--subnet", "10.91.0", "--owner", str(os.getpid())], check=True)

    def close(self):
        subprocess.run([f"{HERE}/netns.sh", "down", "--prefix", self.prefix], check=True)

    def run(self, folder, options, settings):
        """The benchmark's JSON, the library's statistics of rank 0 and what rank 0 said."""
        ranks = self.nodes * self.per_node
        for name in ("id", "out.json", "stats"):
            if os.path.exists(f"{folder}/{name}"):
                os.unlink(f"{folder}/{name}")
        jobs = []
        for rank in range(ranks):
            node = rank // self.per_node
            env = dict(os.environ, RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_RANK=str(rank % self.per_node),
                       LOCAL_WORLD_SIZE=str(self.per_node), MOE_PERF_ID_FILE=f"{folder}/id",
                       LD_LIBRARY_PATH=self.args.nccl, LD_PRELOAD=f"{self.args.build}/lib/libhiermoe.so",
                       NCCL_HOSTID=f"node{node}", HIERMOE_TRUST="moe_perf_all_to_all_v", HIERMOE_MIN_BYTES="0",
                       **settings)
            if rank == 0:
                env.update(HIERMOE_STATS_FILE=f"{folder}/stats", HIERMOE_DEBUG="TRACE")
            if self.topo:
                env["HIERMOE_TOPO"] = self.topo
            command = [f"{HERE}/netns.sh", "exec", "--prefix", self.prefix, str(node), f"{self.args.build}/bin/moe_perf",
                       "--check", "0", "--timeout", str(JOB_SECONDS), "--json", f"{folder}/out.json", *options]
            said = open(f"{folder}/said.{rank}", "w+")
            jobs.append((subprocess.Popen(command, env=env, stdout=said, stderr=subprocess.STDOUT,
                                          stdin=subprocess.DEVNULL), said))
        failed = None
        for rank, (job, said) in enumerate(jobs):
            try:
                status = job.wait(JOB_SECONDS)
            except subprocess.TimeoutExpired:
                status = f"none after {JOB_SECONDS} s"
                job.kill()
                job.wait()
            said.seek(0)
            text = said.read()
            said.close()
            if rank == 0:
                words = text
            if status != 0:
                failed = f"rank {rank} ended with {status}: {text}"
        if failed:
            raise RuntimeError(failed)
        with open(f"{folder}/out.json") as file:
            result = json.load(file)
        stats = None
        if os.path.exists(f"{folder}/stats"):
            with open(f"{folder}/stats") as file:
                stats = json.loads(file.readlines()[-1])
        return result, stats, words


def options_of(shape, iters):
    _, tokens, hidden, topk, experts, routing = shape
    return ["--tokens", str(tokens), "--hidden", str(hidden), "--topk", str(topk), "--experts", str(experts), "--routing",
            routing, "--iters", str(iters), "--warmup", "3", "--between", "2"]  # ms, as before the timings of a fit


def predictions_of(words):
    line = re.search(r"predicted with profile \S+: (\S+) ms left alone(.*); depth (\d+) is planned", words)
    if not line:
        raise RuntimeError(f"rank 0 said nothing of predictions: {words}")
    return [float(line[1])] + [float(ms) for ms in re.findall(r", (\S+) ms at depth", line[2])], int(line[3])


def steps_of(words):
    """Where the time of the last call that was replaced went; None where none was."""
    found = re.findall(r"call \d+, depth \d+: (.*)", words)
    return found[-1] if found else None


def refined_of(words, depth):
    """Predicted for the last of the calls at a depth whose time is known; None where none is."""
    found = re.findall(rf"depth {depth} took \S+ ms, predicted (\S+) ms", words)
    return float(found[-1]) if found else None


class Shape:
    """What the rounds saw of one shape."""

    def __init__(self, shape):
        self.shape, self.times, self.refined, self.steps = shape, {}, {}, []
        self.same, self.same_depths, self.same_ms = [], [], []

    def measure(self, args, cluster, folder, profile):
        """One round. Left alone as it is: the library off, so that no agreement is paid."""
        settings, depth, depths = {"HIERMOE_PROFILE": profile}, 0, 1
        while depth < depths:
            forced = {"HIERMOE_MODE": "off"} if depth == 0 else {"HIERMOE_DEPTH": str(depth)}
            result, _, words = cluster.run(folder, options_of(self.shape, args.iters), settings | forced)
            self.times.setdefault(depth, []).append(result["results"]["dispatch"]["ms"]["median"])
            if depth == 0:
                depths = 2  # at least; how many there are is said where the library is on
            else:
                depths = len(predictions_of(words)[0])
                self.refine(words, depth)
            if steps_of(words):
                self.steps.append(f"depth {depth}: {steps_of(words)}")
            depth += 1

    def refine(self, words, depth):
        if refined_of(words, depth):
            self.refined.setdefault(depth, []).append(refined_of(words, depth))

    def measure_same_job(self, args, cluster, folder, profile):
        """A job that fits a profile, predicts, chooses and then takes its time."""
        settings = {"HIERMOE_PROFILE": "auto", "HIERMOE_DEPTH": "auto", "HIERMOE_FIT_FILE": profile}
        result, _, words = cluster.run(folder, options_of(self.shape, args.iters), settings)
        predicted, chosen = predictions_of(words)
        self.same_depths.append(chosen)
        self.same_ms.append(result["results"]["dispatch"]["ms"]["median"])
        self.same.append(100 * (predicted[chosen] / self.same_ms[-1] - 1))
        if chosen == 0:  # else nothing has the library on and leaves calls alone
            self.refine(words, 0)

    def row(self, cluster, folder, profile):
        """All in all, with what that profile predicts."""
        _, _, words = cluster.run(folder, options_of(self.shape, 2),
                                  {"HIERMOE_PROFILE": profile, "HIERMOE_DEPTH": "auto"})
        predicted, chosen = predictions_of(words)
        medians = [statistics.median(ms) for ms in self.times.values()]
        best = min(range(len(medians)), key=lambda depth: medians[depth])
        refined = statistics.median(self.refined[chosen]) if chosen in self.refined else None
        return {"shape": "/".join(map(str, self.shape)), "measured_ms": medians, "predicted_ms": predicted,
                "chosen": chosen, "best": best, "refined_ms": refined,
                "refined_percent": 100 * (refined / medians[chosen] - 1) if refined else None,
                "same_job_percent": statistics.median(self.same) if self.same else None,
                "off_percent": 100 * (predicted[chosen] / medians[chosen] - 1),
                "behind_percent": 100 * (medians[chosen] / medians[best] - 1),
                "noise_percent": 100 * max((max(ms) - min(ms)) / statistics.median(ms) for ms in self.times.values()),
                "times_ms": list(self.times.values()), "same_jobs_percent": self.same,
                "same_jobs_chose": self.same_depths, "same_jobs_ms": self.same_ms, "steps": self.steps}


def profile_show(path):
    with open(path) as file:
        print("\n".join("  " + line.strip() for line in file if re.match("groups|int|alone|few|agree|ident|pack", line)))


def layout_check(args, cluster, folder, shapes):
    """A row for each shape."""
    profiles, seen = [], [Shape(shape) for shape in shapes]
    for _ in range(args.repeats):
        fitted = "prior"
        if not args.prior:
            fitted = f"{folder}/{shapes[0][0]}.profile.{len(profiles)}"
            profiles.append(fitted)
            _, _, words = cluster.run(folder, options_of(shapes[0], 1), {"HIERMOE_FIT_FILE": fitted})
            print("\n".join(re.findall("measured .* times", words)))
            profile_show(fitted)
        for shape in seen:
            shape.measure(args, cluster, folder, fitted)
            if not args.prior:
                profiles.append(f"{folder}/{shapes[0][0]}.profile.{len(profiles)}")
                shape.measure_same_job(args, cluster, folder, profiles[-1])
    usual = "prior"
    if not args.prior:
        usual = f"{folder}/{shapes[0][0]}.profile"
        with open(usual, "w") as file:
            subprocess.run([f"{args.build}/bin/hiermoe", "profile", *profiles], stdout=file, check=True)
        profile_show(usual)
    return [shape.row(cluster, folder, usual) for shape in seen]


def row_show(row):
    same = "" if row["same_job_percent"] is None else f"{row['same_job_percent']:.1f}"
    refined = "" if row["refined_percent"] is None else f"{row['refined_percent']:.1f}"
    print(f"{row['shape']:44} {', '.join(f'{ms:.4g}' for ms in row['measured_ms']):32} "
          f"{', '.join(f'{ms:.4g}' for ms in row['predicted_ms']):32} {row['chosen']:6} {row['best']:4} "
          f"{row['off_percent']:6.1f} {same:>10} {refined:>9} {row['behind_percent']:8.1f} "
          f"{row['noise_percent']:7.1f}", flush=True)


def check_built(args, parser):
    needed = [f"{args.build}/{name}" for name in ("bin/moe_perf", "bin/hiermoe", "lib/libhiermoe.so")]
    for path in needed if args.gpu else [*needed, f"{args.nccl}/libnccl.so.2"]:
        if not os.path.exists(path):
            parser.error(f"expected {path}: was it built?")


def check_writable(path, parser):
    """Before minutes of measuring, not after them."""
    try:
        with open(path, "a"):
            pass
    except OSError as error:
        parser.error(f"--json: {path}: {error.strerror}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--nccl", help="folder of the stand-in libnccl.so.2; default BUILD/tests/hostnccl")
    parser.add_argument("--rate", default="1gbit")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--iters", type=int, default=16)
    parser.add_argument("--only", default="", help="layouts, parted by commas: " + ", ".join(LAYOUTS) +
                        "; with --gpu " + ", ".join(GPU_LAYOUTS))
    parser.add_argument("--shapes", type=int, default=0, help="at most so many for each layout")
    parser.add_argument("--json")
    parser.add_argument("--prior", action="store_true")
    parser.add_argument("--within", type=float, default=10)
    parser.add_argument("--best", type=float, default=3)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    layouts, all_shapes, kind = (GPU_LAYOUTS, GPU_SHAPES, GpuCluster) if args.gpu else (LAYOUTS, SHAPES, Cluster)
    only = args.only.split(",") if args.only else list(layouts)
    unknown = [name for name in only if name not in layouts]
    if unknown:
        parser.error(f"--only: there is no layout '{unknown[0]}': expected some of {', '.join(layouts)}")
    if not args.nccl and not args.gpu:
        args.nccl = f"{args.build}/tests/hostnccl"  # the tests have others, which move nothing
    check_built(args, parser)
    if args.json:
        check_writable(args.json, parser)
    rows = []
    print(f"{'layout/tokens/hidden/topk/experts/routing':44} {'measured ms, depth 0, 1, ...':32} {'predicted ms':32} "
          f"{'chosen':>6} {'best':>4} {'off %':>6} {'same job %':>10} {'refined %':>9} {'behind %':>8} {'noise %':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for layout in [name for name in layouts if name in only]:
            cluster = kind(args, layout)
            shapes = [shape for shape in all_shapes if shape[0] == layout][:args.shapes or None]
            try:
                for row in layout_check(args, cluster, folder, shapes):
                    rows.append(row)
                    row_show(row)
            finally:
                cluster.close()
    off = sum(abs(row["off_percent"]) > args.within for row in rows)
    late = sum(abs(row["off_percent"] if row["refined_percent"] is None else row["refined_percent"]) > args.within
               for row in rows)
    same = sum(abs(row["same_job_percent"] or 0) > args.within for row in rows)
    behind = sum(row["behind_percent"] > args.best for row in rows)
    print(f"{len(rows)} shapes: {len(rows) - off} predicted within {args.within:g} %, {len(rows) - same} in the job that "
          f"fitted, {len(rows) - late} once refined, "
          f"{len(rows) - behind} choices the fastest or within {args.best:g} % of it")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(rows, file, indent=1)
    if args.smoke:
        return not rows or any(ms <= 0 for row in rows for ms in row["measured_ms"] + row["predicted_ms"])
    return 2 * off > len(rows) or 2 * behind > len(rows)


if __name__ == "__main__":
    sys.exit(main())
