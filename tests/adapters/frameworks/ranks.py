#!/usr/bin/env python3
"""Runs a framework's own code over gloo, with the adapter and without, and compares.

    ranks.py megatron|deepspeed|torchtitan [FOLDER]    FOLDER: put first in PYTHONPATH, where the framework is unpacked

Exit status 77 where the framework cannot be imported. What a case checks is said in its file. HM_VARIANTS="base micro"
runs only some of its variants, HM_WORLDS="2" only with so many ranks.
"""
import os
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NEEDS = {"megatron": "megatron.core.transformer.moe.token_dispatcher", "deepspeed": "deepspeed.moe.sharded_moe",
         "torchtitan": "torchtitan.distributed.expert_parallel"}
WORLDS = {"megatron": (2, 4), "deepspeed": (2,), "torchtitan": (2,)}


def environment(folder):
    path = [folder, HERE, os.path.dirname(HERE), os.environ.get("PYTHONPATH")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in path if part), "PYTHONWARNINGS": "ignore",
            "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "DS_BUILD_OPS": "0", "DEEPSPEED_LOG_LEVEL": "warning"}


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def run(case, world, variables):
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": str(world)}
    ranks = [subprocess.Popen([sys.executable, os.path.join(HERE, case + "_case.py")],
                              env={**variables, **where, "RANK": str(rank), "LOCAL_RANK": str(rank)})
             for rank in range(world)]
    return max(abs(rank.wait()) for rank in ranks)


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in NEEDS:
        sys.exit(__doc__)
    case = sys.argv[1]
    variables = environment(sys.argv[2] if len(sys.argv) == 3 else None)
    probe = subprocess.run([sys.executable, os.path.join(HERE, "cuda_on_hosts.py"), NEEDS[case]], env=variables,
                           capture_output=True, text=True)
    if probe.returncode != 0:
        print("skipped: %s cannot import %s: %s" % (sys.executable, NEEDS[case],
                                                    (probe.stderr.strip().splitlines() or ["?"])[-1]))
        return 77
    worlds = [int(word) for word in os.environ.get("HM_WORLDS", "").split()] or WORLDS[case]
    return max(run(case, world, variables) for world in worlds)


if __name__ == "__main__":
    sys.exit(main())
