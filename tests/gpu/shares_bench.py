#!/usr/bin/env python3
"""Whether CPU, link and GPU together take what planner/shares predicts: products of experts on the CPU, pinned copies of
others' weights, and products on the GPU run at the same time, for 10 divisions of 5 layers (the planner's and Fiddler's).

    tests/gpu/shares_bench.py [--json FILE]

Costs are measured first, each while the others work too, as they do in a division; --alone takes those without. Needs
PyTorch, a GPU and a C compiler. Exit status: 0; 1 where a division takes more than 10 % more or less than predicted; 77
without a GPU.
"""
import argparse
import concurrent.futures
import ctypes
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXPERTS, HIDDEN, INNER = 16, 2048, 6144  # an expert: three matrices, 151 MB in float32
FIT_TOKENS = (16, 32, 64, 128, 192, 256)
LAYERS, REPEATS, LIMIT = 5, 9, 0.10
CPU, STREAM, RESIDENT = 0, 1, 2  # hm_share_t


class Cost(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in ("cpu_alpha_ms", "cpu_beta_ms", "gpu_alpha_ms", "gpu_beta_ms",
                                                     "stream_ms")]


class Times(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in ("cpu_ms", "link_ms", "gpu_ms", "makespan_ms")]


class Planner:
    """planner/shares, built here."""

    def __init__(self, folder):
        library = Path(folder) / "libshares.so"
        sources = [*sorted((ROOT / "planner" / "shares").glob("*.c")), ROOT / "planner" / "experts" / "loads.c"]
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-ffp-contract=off", "-shared", "-fPIC",
                        f"-I{ROOT / 'planner'}", *map(str, sources), "-o", str(library)], check=True)
        self.c = ctypes.CDLL(str(library))
        self.shares = ctypes.c_void_p()
        if self.c.shares_create(EXPERTS, ctypes.byref(self.shares)) != 0:
            sys.exit("shares_create failed")
        for function in (self.c.shares_choose, self.c.shares_fiddler):
            function.restype = Times

    def divide(self, rule, cost, loads, resident):
        """The side of each expert, and the times predicted."""
        share, tokens = (ctypes.c_int * EXPERTS)(), (ctypes.c_uint64 * EXPERTS)(*loads)
        function = {"planner": self.c.shares_choose, "fiddler": self.c.shares_fiddler}[rule]
        times = function(self.shares, ctypes.byref(cost), tokens, resident, None, share)
        return list(share), times


class Machine:
    """The experts' weights in pinned memory and on the GPU, and what works on them."""

    def __init__(self, torch):
        self.torch = torch
        size = 3 * HIDDEN * INNER
        self.host = [torch.randn(size).mul_(0.02).pin_memory() for _ in range(EXPERTS)]
        self.held = [weights.cuda() for weights in self.host]
        self.staged = [torch.empty(size, device="cuda") for _ in range(EXPERTS)]
        most = max(FIT_TOKENS)
        self.rows = {"cpu": torch.randn(most, HIDDEN), "cuda": torch.randn(most, HIDDEN, device="cuda")}
        self.room = {device: [torch.empty(most, INNER, device=device), torch.empty(most, INNER, device=device),
                              torch.empty(most, HIDDEN, device=device)] for device in ("cpu", "cuda")}
        self.link, self.compute = torch.cuda.Stream(), torch.cuda.Stream()
        # One core launches, one is left to the system. OpenMP's threads belong to the thread that first uses them.
        self.threads = max(1, len(os.sched_getaffinity(0)) - 2)
        self.worker = concurrent.futures.ThreadPoolExecutor(1, initializer=torch.set_num_threads,
                                                            initargs=(self.threads,))

    def product(self, device, weights, tokens):
        torch, part = self.torch, HIDDEN * INNER
        first, second, out = (room[:tokens] for room in self.room[device])
        torch.mm(self.rows[device][:tokens], weights[:part].view(HIDDEN, INNER), out=first)
        torch.mm(self.rows[device][:tokens], weights[part:2 * part].view(HIDDEN, INNER), out=second)
        torch.mm(first.mul_(second), weights[2 * part:].view(INNER, HIDDEN), out=out)

    def cpu_work(self, jobs, stop=None):
        """jobs: (expert, tokens). Again and again until `stop` is set, where there is one."""
        while True:
            for expert, tokens in jobs:
                self.product("cpu", self.host[expert], tokens)
                if stop is not None and stop.is_set():
                    return
            if stop is None:
                return

    def copies(self, experts):
        """Enqueues transfers; an event for each."""
        events = []
        with self.torch.cuda.stream(self.link):
            for expert in experts:
                self.staged[expert].copy_(self.host[expert], non_blocking=True)
                events.append(self.torch.cuda.Event())
                events[-1].record(self.link)
        return events

    def split_ms(self, loads, share):
        """One run of a division: the CPU's experts one by one, the GPU's in Johnson's order."""
        torch = self.torch
        order = sorted((e for e in range(EXPERTS) if loads[e] > 0), key=lambda e: (-loads[e], e))
        streamed = [e for e in order if share[e] == STREAM]
        torch.cuda.synchronize()
        begin = time.perf_counter()
        cpu = self.worker.submit(self.cpu_work, [(e, loads[e]) for e in order if share[e] == CPU])
        events = self.copies(streamed)
        with torch.cuda.stream(self.compute):
            for e in order:
                if share[e] == RESIDENT:
                    self.product("cuda", self.held[e], loads[e])
            for e, event in zip(streamed, events):
                self.compute.wait_event(event)
                self.product("cuda", self.staged[e], loads[e])
        torch.cuda.synchronize()
        cpu.result()
        return 1e3 * (time.perf_counter() - begin)

    def cpu_ms(self, tokens, beside):
        """Of one expert; beside: while the link is busy all the time."""
        if beside:
            self.copies(list(range(EXPERTS)) * (2 + tokens // 16))
        cpu = self.worker.submit(lambda: (time.perf_counter(),
                                          self.cpu_work([(e, tokens) for e in range(EXPERTS)]), time.perf_counter()))
        begin, _, end = cpu.result()
        self.torch.cuda.synchronize()
        return 1e3 * (end - begin) / EXPERTS

    def stream_ms(self, beside):
        stop = threading.Event()
        cpu = self.worker.submit(self.cpu_work, [(e, 64) for e in range(EXPERTS)], stop) if beside else None
        if beside:
            time.sleep(0.02)
        self.torch.cuda.synchronize()
        begin = time.perf_counter()
        self.copies(range(EXPERTS))
        self.torch.cuda.synchronize()
        end = time.perf_counter()
        stop.set()
        if cpu is not None:
            cpu.result()
        return 1e3 * (end - begin) / EXPERTS

    def gpu_ms(self, tokens):
        self.torch.cuda.synchronize()
        begin = time.perf_counter()
        with self.torch.cuda.stream(self.compute):
            for e in range(EXPERTS):
                self.product("cuda", self.held[e], tokens)
        self.torch.cuda.synchronize()
        return 1e3 * (time.perf_counter() - begin) / EXPERTS


def median(measure, repeats=5):
    measure()
    return statistics.median(measure() for _ in range(repeats))


def line(points):
    """alpha and beta >= 0 of ms = alpha + beta * tokens, and the worst relative error; errors count relative to a time."""
    weight = [1 / ms ** 2 for _, ms in points]
    total = sum(weight)
    x = sum(w * n for w, (n, _) in zip(weight, points)) / total
    y = sum(w * ms for w, (_, ms) in zip(weight, points)) / total
    beta = (sum(w * (n - x) * (ms - y) for w, (n, ms) in zip(weight, points))
            / sum(w * (n - x) ** 2 for w, (n, _) in zip(weight, points)))
    alpha, beta = max(y - beta * x, 0), max(beta, 0)
    return alpha, beta, max(abs((alpha + beta * n) / ms - 1) for n, ms in points)


def measure_cost(machine, beside):
    cpu = line([(n, median(lambda n=n: machine.cpu_ms(n, beside))) for n in FIT_TOKENS])
    gpu = line([(n, median(lambda n=n: machine.gpu_ms(n))) for n in FIT_TOKENS])
    cost = Cost(cpu[0], cpu[1], gpu[0], gpu[1], median(lambda: machine.stream_ms(beside)))
    said = {name: getattr(cost, name) for name, _ in Cost._fields_}
    return cost, {**said, "cpu_line_error": cpu[2], "gpu_line_error": gpu[2]}


def layers():
    """Even and skewed loads with 0 to 8 of 16 experts resident."""
    draw = random.Random(1)
    for resident in (0, 2, 4, 6, 8):
        yield resident, [16 * draw.randint(1, 16 if e < 8 else 6) for e in range(EXPERTS)]


def run_splits(planner, machine, cost):
    splits = []
    for number, (resident, loads) in enumerate(layers()):
        for rule in ("planner", "fiddler"):
            share, times = planner.divide(rule, cost, loads, resident)
            measured = median(lambda s=share, l=loads: machine.split_ms(l, s), REPEATS)
            splits.append({"layer": number, "rule": rule, "loads": loads, "experts_resident": share.count(RESIDENT),
                           "experts_streamed": share.count(STREAM), "experts_cpu": share.count(CPU),
                           "predicted_ms": times.makespan_ms, "cpu_ms": times.cpu_ms, "link_ms": times.link_ms,
                           "gpu_ms": times.gpu_ms, "measured_ms": measured,
                           "error": measured / times.makespan_ms - 1})
            print("layer %d %-8s %2d resident %2d streamed %2d on the CPU: predicted %8.3f ms, took %8.3f (%+.1f %%)" % (
                number, rule, share.count(RESIDENT), share.count(STREAM), share.count(CPU), times.makespan_ms, measured,
                100 * splits[-1]["error"]), flush=True)
    return splits


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--json", metavar="FILE", help="write all figures there as well")
    ap.add_argument("--alone", action="store_true", help="predict from costs measured while nothing else works")
    args = ap.parse_args()
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed")
        return 77
    if not torch.cuda.is_available():
        print("there is no GPU")
        return 77
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        planner, machine = Planner(folder), Machine(torch)
        costs = {"beside": measure_cost(machine, True), "alone": measure_cost(machine, False)}
        for name, (_, said) in costs.items():
            print(name + ": " + ", ".join("%s %.4g" % item for item in said.items()), flush=True)
        splits = run_splits(planner, machine, costs["alone" if args.alone else "beside"][0])
    worst = max(abs(split["error"]) for split in splits)
    print("%d divisions, worst %.1f %% off, limit %.0f %%" % (len(splits), 100 * worst, 100 * LIMIT))
    if args.json:
        Path(args.json).write_text(json.dumps(
            {"test": "shares_bench", "gpu": torch.cuda.get_device_name(), "torch": torch.__version__,
             "cpu_threads": machine.threads, "expert_bytes": 12 * HIDDEN * INNER, "predicted_from":
             "alone" if args.alone else "beside", "costs": {name: said for name, (_, said) in costs.items()},
             "splits": splits, "worst": worst, "passed": worst <= LIMIT}, indent=1) + "\n")
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
