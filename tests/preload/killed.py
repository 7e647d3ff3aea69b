#!/usr/bin/env python3
"""killed.py PROGRAM LIBRARY [RUNTIME]: batch systems end jobs by signals; statistics must be there all the same.

Runs a program that never ends, preloaded, with a line of statistics every second. After two lines it is killed: by
SIGTERM, then by SIGKILL. RUNTIME: a sanitizer's, preloaded first. Exit status 1, with a sentence, where a line is
missing or wrong.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time


def lines_of(path):
    return open(path).read().splitlines() if os.path.exists(path) else []


def run(program, preload, number, path):
    """Lines of statistics of the program, killed once there are two of them, and its exit status."""
    env = dict(os.environ, LD_PRELOAD=":".join(preload), HIERMOE_STATS_FILE=path, HIERMOE_STATS_INTERVAL="1")
    job = subprocess.Popen([program], env=env)
    while len(lines_of(path)) < 2 and job.poll() is None:
        time.sleep(0.05)
    job.send_signal(number)
    status = job.wait()
    return [json.loads(line) for line in lines_of(path)], status


def judge(lines, status, number):
    if status != -number:
        yield f"ended with {status}, expected {-number}"
    if any(line["event"] != "interval" for line in lines):
        yield "a line at the end of a killed process"
    for before, after in zip(lines, lines[1:]):
        if after["time"] - before["time"] < 0.9:
            yield "two lines within a second"
        if not 0 < before["left"]["partial"] < after["left"]["partial"]:
            yield "counters do not grow"


def main():
    program, library, *runtime = sys.argv[1:]
    faults = []
    for number in signal.SIGTERM, signal.SIGKILL:
        with tempfile.TemporaryDirectory() as folder:
            lines, status = run(program, [*runtime, library], number, f"{folder}/stats")
        faults += [f"{number.name}: {fault}: {lines}" for fault in judge(lines, status, number)]
    print("\n".join(faults))
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
