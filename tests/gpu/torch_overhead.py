"""Times all_to_all_single of 64 MB a rank, rows all different, from the 64th call on: what a job pays for a library that
leaves every call alone is the ratio of two such runs. Rank 0 prints JSON; times are the slowest rank's, in ms.

    nodes.sh 1 2 -- python3 torch_overhead.py [--calls N]
"""
import argparse
import json
import os
import time

import torch
import torch.distributed as dist

ROWS, HIDDEN, SETTLING = 16384, 2048, 64


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--calls", type=int, default=400)
    calls = ap.parse_args().calls
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl", rank=rank, world_size=world)
    send = torch.randn(ROWS, HIDDEN, device="cuda", generator=torch.Generator("cuda").manual_seed(rank)).bfloat16()
    recv = torch.empty_like(send)
    splits = [ROWS // world] * world
    times = []
    for i in range(SETTLING + calls):
        if i % 16 == 0:
            dist.barrier(device_ids=[torch.cuda.current_device()])
        torch.cuda.synchronize()
        begin = time.perf_counter()
        dist.all_to_all_single(recv, send, splits, splits)
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - begin))
    slowest = torch.tensor(times[SETTLING:], device="cuda", dtype=torch.float64)
    dist.all_reduce(slowest, dist.ReduceOp.MAX)
    if rank == 0:
        print(json.dumps(dict(test="torch_overhead", ranks=world, mb=send.numel() * 2 / 1e6, calls=calls,
                              median_ms=slowest.median().item())), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
