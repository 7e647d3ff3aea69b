"""The most that hierarchical de-duplication can gain on a shape, measured with plain all-to-alls and no library.

    tests/gpu/nodes.sh 4 2 -- python3 oracle.py --tokens 4096 --hidden 2048 --experts 128 --topk 8 --zipf 0

Draws a routing and times exchanges of bf16 rows: (flat) every copy, as a MoE layer's dispatch sends it; (per GPU) one
copy for each destination GPU; (per node) one copy for each destination node, between GPUs of equal index, then one for
each GPU inside the node. Rows are neither found nor packed nor unpacked: whatever sends the same rows the same way
takes at least as long. Rank 0 prints a JSON object for each size: ms are medians over iterations of the slowest rank's
time, wire_mb is what the kernel counted on NCCL_SOCKET_IFNAME for one exchange of all ranks of this machine.
"""
import argparse
import copy
import json
import os
import time

import torch
import torch.distributed as dist


def arguments_add(ap):
    ap.add_argument("--tokens", type=int, default=4096, help="per rank (default 4096)")
    ap.add_argument("--hidden", type=int, default=2048, help="bf16 elements of a row (default 2048)")
    ap.add_argument("--experts", type=int, default=128, help="(default 128)")
    ap.add_argument("--topk", type=int, default=8, help="(default 8)")
    ap.add_argument("--zipf", type=float, default=0.0, help="exponent of the experts' popularity (default 0: uniform)")
    ap.add_argument("--iters", type=int, default=30, help="timed (default 30)")
    ap.add_argument("--warmup", type=int, default=8, help="before them (default 8)")
    ap.add_argument("--seed", type=int, default=7, help="(default 7)")
    ap.add_argument("--size", action="append", default=[], metavar="TOKENS:HIDDEN:EXPERTS:TOPK:ZIPF",
                    help="instead of the five options; several are measured one after the other")


def sizes(ap, args, world):
    """The arguments of each --size, or of the options."""
    found = []
    for text in args.size:
        one, fields = copy.copy(args), text.split(":")
        try:
            one.tokens, one.hidden, one.experts, one.topk = map(int, fields[:4])
            one.zipf, = map(float, fields[4:])
        except ValueError:
            ap.error(f"--size: expected TOKENS:HIDDEN:EXPERTS:TOPK:ZIPF, got '{text}'")
        found.append(one)
    for one in found or [args]:
        if one.experts % world or one.topk > one.experts:
            ap.error(f"expected {one.experts} experts to be a multiple of the {world} ranks, at least top-{one.topk}")
        del one.size
    return found or [args]


def destinations(args, world, seed, per_rank=False):
    """Each token's experts, or with per_rank their ranks, shape (world, tokens, topk). Drawn without replacement by
    popularity (Gumbel-top-k trick)."""
    gen = torch.Generator("cuda").manual_seed(seed)
    popularity = -args.zipf * torch.arange(1, args.experts + 1, dtype=torch.float64, device="cuda").log()
    popularity = popularity[torch.randperm(args.experts, generator=gen, device="cuda")]
    uniform = torch.rand(world, args.tokens, args.experts, generator=gen, dtype=torch.float64, device="cuda")
    chosen = (popularity - torch.log(-torch.log(uniform))).topk(args.topk, dim=-1).indices
    return chosen // (args.experts // world) if per_rank else chosen


class Volume:
    """Rows that each source sends: raw and per_gpu [source, GPU] (every copy, one per GPU), per_node [source, node]."""

    def __init__(self, destination, nodes, gpus):
        ranks = nodes * gpus
        hits = torch.nn.functional.one_hot(destination, ranks).sum(2)  # (source, token, rank)
        self.raw = hits.sum(1)
        self.per_gpu = (hits > 0).sum(1)
        self.per_node = (hits.view(ranks, -1, nodes, gpus).sum(-1) > 0).sum(1)


def wire_bytes():
    """Bytes that NCCL's interface has sent so far, by the kernel's count; None without such an interface."""
    interface = os.environ.get("NCCL_SOCKET_IFNAME", "lo")
    with open("/proc/net/dev") as file:  # of this process's network; /sys has the network of whoever mounted it
        sent = [line.split(":")[1].split()[8] for line in file if line.split(":")[0].strip() == interface]
    return int(sent[0]) if sent else None


class Stopwatch:
    """Times iterations. After times(), wire_mb has what one iteration sent, with the barrier before it."""

    def __init__(self, args):
        self.hidden, self.iters, self.warmup, self.wire_mb = args.hidden, args.iters, args.warmup, None

    def times(self, run):
        """Ms of the slowest rank in each timed iteration of run(iteration)."""
        times, before = [], None
        for i in range(self.warmup + self.iters):
            dist.barrier(device_ids=[torch.cuda.current_device()])
            torch.cuda.synchronize()
            if i == self.warmup:
                before = wire_bytes()
            began = time.perf_counter()
            run(i)
            torch.cuda.synchronize()
            times.append(1e3 * (time.perf_counter() - began))
        dist.barrier(device_ids=[torch.cuda.current_device()])
        torch.cuda.synchronize()
        self.wire_mb = None if before is None else round((wire_bytes() - before) / self.iters / 1e6, 3)
        slowest = torch.tensor(times[self.warmup:], device="cuda", dtype=torch.float64)
        dist.all_reduce(slowest, dist.ReduceOp.MAX)
        return slowest

    def all_to_all(self, send, recv, group=None):
        """Median ms of an all-to-all of send[r] rows to and recv[r] rows from each rank of the group."""
        rows = torch.randn(sum(send), self.hidden, device="cuda").bfloat16()
        out = torch.empty(sum(recv), self.hidden, device="cuda", dtype=torch.bfloat16)
        return self.times(lambda _: dist.all_to_all_single(out, rows, recv, send, group=group)).quantile(0.5).item()


def measure(args, rank, nodes, gpus, rails, inside):
    """Ms and MB on the wire of each exchange."""
    node, local = divmod(rank, gpus)
    volume, watch = Volume(destinations(args, nodes * gpus, args.seed, per_rank=True), nodes, gpus), Stopwatch(args)
    peers = [n * gpus + local for n in range(nodes)]  # their rows for this node go to this rank
    ms, wire = {}, {}

    def take(name, send, recv, group=None):
        ms[name] = round(watch.all_to_all(send.tolist(), recv.tolist(), group), 4)
        wire[name] = watch.wire_mb

    take("flat", volume.raw[rank], volume.raw[:, rank])
    take("per_gpu", volume.per_gpu[rank], volume.per_gpu[:, rank])
    if nodes > 1:
        take("across_nodes", volume.per_node[rank], volume.per_node[peers, node], rails[local])
        fan_out = volume.per_gpu[peers, node * gpus:(node + 1) * gpus].sum(0)
        fan_in = volume.per_gpu[:, rank].view(nodes, gpus).sum(0)
        take("inside_node", fan_out, fan_in, inside[node])
    return ms, wire


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments_add(ap)
    args = ap.parse_args()
    rank, world, gpus = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl", rank=rank, world_size=world)
    nodes = world // gpus
    rails = [dist.new_group([n * gpus + g for n in range(nodes)]) for g in range(gpus)]
    inside = [dist.new_group([n * gpus + g for g in range(gpus)]) for n in range(nodes)]
    for one in sizes(ap, args, world):
        ms, wire = measure(one, rank, nodes, gpus, rails, inside)
        speedup = {"per_gpu": ms["flat"] / ms["per_gpu"]}
        if "across_nodes" in ms:
            speedup["per_node"] = ms["flat"] / (ms["across_nodes"] + ms["inside_node"])
        if rank == 0:
            print(json.dumps(dict(test="oracle", nodes=nodes, gpus=gpus, **vars(one), ms=ms, wire_mb=wire,
                                  speedup={name: round(value, 3) for name, value in speedup.items()},
                                  best=round(max(speedup.values()), 3))), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
