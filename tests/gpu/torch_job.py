"""A PyTorch job that knows nothing of the library and makes every kind of call that it may meet (torch_sections.py).

    nodes.sh 1 2 -- python3 torch_job.py [--seed N] [--sections a,b]

Each rank prints one JSON line: a hash of the exact bytes of everything received, per section, which the same job with
the library preloaded must print too; and, where HIERMOE_STATS_FILE names a file (with %p), what the library wrote there
when the section's process group was destroyed. The job lives twice: with a bound device, where PyTorch
splits groups off the first communicator, then, after destroy_process_group, with communicators made at their first use.
In this order: in a process that had another NCCL group before, PyTorch 2.11's split_group reads an empty list (its fix is
pytorch/pytorch#192109).
"""
import argparse
import hashlib
import json
import os
import sys
import time
import traceback

import torch
import torch.distributed as dist
from torch_sections import SECTIONS


class Job:
    def __init__(self, seed):
        self.seed, self.rank, self.world = seed, int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        self.hashes, self.stats, self.errors, self.seconds, self.recorded = {}, {}, {}, {}, 0
        pattern = os.environ.get("HIERMOE_STATS_FILE", "")
        self.stats_path, self.stats_read = pattern.replace("%p", str(os.getpid())), 0
        self.hash = None
        torch.cuda.set_device(self.device)

    def record(self, tensor):
        """Adds a tensor's type, shape and bytes to the section's hash."""
        self.hash.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        if tensor.numel():
            self.hash.update(tensor.contiguous().view(torch.uint8).cpu().numpy().tobytes())
        self.recorded += tensor.numel() * tensor.element_size()

    def stats_new(self):
        """Lines of communicators that have ended since this was last asked."""
        if not self.stats_path or not os.path.exists(self.stats_path):
            return []
        with open(self.stats_path) as file:
            lines = file.read().splitlines()
        new, self.stats_read = lines[self.stats_read:], len(lines)
        return [row for row in map(json.loads, new) if row["event"] == "end"]

    def section(self, name, body, group):
        """Runs a section on its group and destroys the group. An error is kept; the next section goes on."""
        began, self.hash = time.perf_counter(), hashlib.sha256()
        try:
            body(self, group)
            torch.cuda.synchronize()
            dist.destroy_process_group(group)
            self.hashes[name] = self.hash.hexdigest()
        except Exception:
            self.errors[name] = traceback.format_exc()
            print(f"section {name}: {self.errors[name]}", file=sys.stderr, flush=True)
        self.stats[name] = self.stats_new()
        self.seconds[name] = round(time.perf_counter() - began, 2)


def begin(job, life, **options):
    port = int(os.environ["MASTER_PORT"]) + life
    dist.init_process_group("nccl", init_method=f"tcp://{os.environ['MASTER_ADDR']}:{port}", rank=job.rank,
                            world_size=job.world, **options)


def end(job, name):
    torch.cuda.synchronize()
    dist.destroy_process_group()
    job.stats[name] = job.stats_new()


def life_lazy(job, wanted):
    """Communicators come with the first call on a group; each section has a new group."""
    begin(job, 1)
    for name, (body, _) in SECTIONS.items():
        if name in wanted and not name.startswith("graph"):
            job.section(name, body, dist.new_group(list(range(job.world))))
    if job.world >= 4:
        for half in (0, 1):  # every rank makes every group
            group = dist.new_group(list(range(half, job.world, 2)))
            if job.rank % 2 == half:
                job.section("subset", SECTIONS["unequal"][0], group)
    alone = [dist.new_group([r]) for r in range(job.world)][job.rank]
    job.section("alone", SECTIONS["unequal"][0], alone)
    end(job, "lazy world")


def life_eager(job, wanted):
    """With a bound device the first communicator is made at once and others are split off it."""
    begin(job, 0, device_id=job.device)
    everyone = list(range(job.world))
    job.section("split by new_group", SECTIONS["unequal"][0], dist.new_group(everyone))
    if hasattr(dist, "split_group"):
        job.section("split by split_group", SECTIONS["unequal"][0], dist.split_group(split_ranks=[everyone]))
    for name in ("autograd", "graph", "graph_first"):
        if name in wanted:
            job.section(f"eager {name}", SECTIONS[name][0], dist.new_group(everyone))
    end(job, "eager world")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--sections", default=",".join(SECTIONS), help="of: " + ", ".join(SECTIONS))
    args = ap.parse_args()
    job = Job(args.seed)
    for life in (life_eager, life_lazy):
        life(job, args.sections.split(","))
    print(json.dumps(dict(test="torch_job", rank=job.rank, seed=args.seed, torch=torch.__version__,
                          nccl=".".join(map(str, torch.cuda.nccl.version())), megabytes=round(job.recorded / 1e6, 1),
                          hashes=job.hashes, stats=job.stats, errors=job.errors, seconds=job.seconds)), flush=True)
    return 1 if job.errors else 0


if __name__ == "__main__":
    sys.exit(main())
