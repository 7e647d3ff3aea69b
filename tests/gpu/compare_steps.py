#!/usr/bin/env python3
"""Compares the steps of two training runs: loss and gradient norm in every digit, and how long the steps took.

    compare_steps.py PLAIN.log PRELOADED.log [--skip N] [--timing-only]

A log is what integration/jobs/megatron_moe.py printed: a JSON object a line with step, loss, grad_norm and ms; other
lines are passed over. Exit status: 0 equal, 1 different, 2 bad input.
"""
import argparse
import json
import statistics
import sys


def steps_of(lines):
    """{step: object} of the lines that are steps."""
    steps = {}
    for line in lines:
        if not line.startswith("{"):
            continue
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if {"step", "loss", "grad_norm", "ms"} <= found.keys():
            steps[found["step"]] = found
    return steps


def difference(one, other):
    """The first difference in a sentence, or None. repr: NaN equals NaN, and -0.0 is not 0.0."""
    if not one:
        return "the first log has no steps"
    if one.keys() != other.keys():
        return f"one log has steps up to {max(one)}, the other up to {max(other, default='none')}"
    for step in sorted(one):
        for what in ("loss", "grad_norm"):
            a, b = one[step][what], other[step][what]
            if repr(a) != repr(b):
                return f"step {step}: {what} {a!r} and {b!r}"
    return None


def timing(one, other, skip):
    """Medians of the steps from number `skip` on."""
    medians = [statistics.median([s["ms"] for n, s in steps.items() if n >= skip] or [float("nan")])
               for steps in (one, other)]
    return f"median step {medians[0]:.1f} ms and {medians[1]:.1f} ms, ratio {medians[0] / medians[1]:.3f}"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("logs", nargs=2)
    ap.add_argument("--skip", type=int, default=5, help="steps left out of the medians (default 5)")
    ap.add_argument("--timing-only", action="store_true")
    args = ap.parse_args()
    steps = []
    for path in args.logs:
        try:
            with open(path, errors="replace") as file:
                steps.append(steps_of(file))
        except OSError as error:
            print(f"compare_steps: {error}", file=sys.stderr)
            return 2
        if not steps[-1]:
            print(f"compare_steps: {path}: expected JSON lines with step, loss, grad_norm and ms", file=sys.stderr)
            return 2
    print(timing(*steps, args.skip))
    if args.timing_only:
        return 0
    different = difference(*steps)
    print(different or f"{len(steps[0])} steps equal in every digit")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
