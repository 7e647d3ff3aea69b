"""Times a MoE layer's dispatch as PyTorch issues it: each token's row once per chosen expert, in the order of experts.

    tests/gpu/nodes.sh 4 2 -- python3 dispatch.py
    PRELOAD=build/lib/libhiermoe.so tests/gpu/nodes.sh 4 2 -- python3 dispatch.py

Routings and stopwatch are those of oracle.py, so that plain, preloaded and oracle can be compared. Rank 0 prints a JSON
object for each size: the median and all times of the slowest rank in ms, wire_mb as the oracle counts it, and a hash of
every byte that all ranks received, which must not depend on what is preloaded.
"""
import argparse
import hashlib
import json
import os

import torch
import torch.distributed as dist
from oracle import Stopwatch, arguments_add, destinations, sizes


def routing(args, world, rank, seed):
    """Rows to send [tokens * topk, hidden], and how many go to and come from each rank."""
    local = args.experts // world
    chosen = destinations(args, world, seed)
    counts = torch.stack([torch.bincount(e.flatten() // local, minlength=world) for e in chosen])
    order = torch.argsort(chosen[rank].flatten(), stable=True)
    generator = torch.Generator("cuda").manual_seed(1000 * seed + rank)
    tokens = torch.randn(args.tokens, args.hidden, device="cuda", generator=generator).bfloat16()
    return tokens.index_select(0, order // args.topk), counts[rank].tolist(), counts[:, rank].tolist()


def measure(args, rank, world):
    exchanges = []
    for seed in range(args.seed, args.seed + args.routings):
        rows, send, recv = routing(args, world, rank, seed)
        exchanges.append((torch.empty(sum(recv), args.hidden, device="cuda", dtype=rows.dtype), rows, recv, send))
    watch = Stopwatch(args)
    times = watch.times(lambda i: dist.all_to_all_single(*exchanges[i % len(exchanges)]))
    mine = hashlib.sha256()
    for out, *_ in exchanges:
        mine.update(out.view(torch.uint8).cpu().numpy().tobytes())
    hashes = [None] * world
    dist.all_gather_object(hashes, mine.hexdigest())
    if rank == 0:
        print(json.dumps(dict(test="dispatch", ranks=world, **vars(args), ms=round(times.median().item(), 4),
                              all_ms=[round(ms, 4) for ms in times.tolist()], wire_mb=watch.wire_mb,
                              hash=hashlib.sha256("".join(hashes).encode()).hexdigest())), flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments_add(ap)
    ap.add_argument("--routings", type=int, default=3, help="how many take turns, as layers do (default 3)")
    args = ap.parse_args()
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl", rank=rank, world_size=world)
    for one in sizes(ap, args, world):
        measure(one, rank, world)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
