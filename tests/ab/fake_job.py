#!/usr/bin/env python3
"""A job of a few lines: prints steps, and leaves the statistics that preloaded ranks would leave.

    fake_job.py [--steps N] [--ms PLAIN] [--preloaded-ms MS] [--loss PRELOADED] [--restless] [--ranks N] [--silent RANK]
                [--exit STATUS] [--kill SIGNAL] [--words TEXT] [--count FILE] [--sizeless]

Whether it is preloaded it sees, as the library would, from its environment. --restless: no two runs have the same loss.
--silent: this rank leaves no statistics. --sizeless: communicators do not tell their size. --count: adds a line for
each run.
"""
import argparse
import json
import os
import sys


def arguments():
    ap = argparse.ArgumentParser()
    for name, default in (("steps", 8), ("ranks", 2), ("silent", -1), ("exit", 0), ("kill", 0)):
        ap.add_argument(f"--{name}", type=int, default=default)
    ap.add_argument("--ms", type=float, default=100.0)
    ap.add_argument("--preloaded-ms", type=float, default=50.0)
    ap.add_argument("--loss", default="1.5")
    ap.add_argument("--words", default="")
    ap.add_argument("--count")
    ap.add_argument("--sizeless", action="store_true")
    ap.add_argument("--restless", action="store_true")
    return ap.parse_args()


def statistics_write(args):
    for rank in range(args.ranks):
        path = os.environ["HIERMOE_STATS_FILE"].replace("%h", "host").replace("%p", str(1000 + rank))
        line = dict(event="end", host="host", pid=1000 + rank, communicator=0, rank=rank,
                    ranks=0 if args.sizeless else args.ranks, replaced=3,
                    bytes_raw=1000, bytes_sent=400, bytes_raw_to_node=[0, 1000], depth=[0, 3], left={"no_gain": 2})
        if rank != args.silent:
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(dict(line, event="interval", replaced=1)) + "\n")
                file.write(json.dumps(line) + "\n")


def main():
    args = arguments()
    preloaded = "HIERMOE_STATS_FILE" in os.environ
    if args.count:
        with open(args.count, "a", encoding="utf-8") as file:
            print("hiermoe" if preloaded else "plain", os.environ.get("LD_PRELOAD", ""), file=file)
    for step in range(args.steps):
        loss = f"1.{os.getpid()}" if args.restless else args.loss if preloaded and step == 5 else "1.5"
        print(f'{{"step": {step}, "ms": {args.preloaded_ms if preloaded else args.ms}, "loss": {loss}}}')
    print(args.words, file=sys.stderr)
    if preloaded:
        statistics_write(args)
    sys.stdout.flush()
    if args.kill:
        os.kill(os.getpid(), args.kill)
    return args.exit


if __name__ == "__main__":
    sys.exit(main())
