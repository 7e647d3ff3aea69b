"""Runs commands side by side and ends all with the first failure, which it returns. Used by nodes.sh.

gang.py ranks FIRST COUNT SECONDS COMMAND ...     ranks FIRST to FIRST+COUNT-1 of the command, here
gang.py nodes RANKS SECONDS NAMES COMMAND ...     all ranks, in blocks over network namespaces (comma-separated)
"""

import os
import signal
import subprocess
import sys
import time

NODE_SHELL = 'hostname "$0"; mount -t tmpfs none /dev/shm; exec "$@"'


def run_gang(commands, seconds):
    """Starts (argv, environment) pairs. 0, the first failure's exit status, or 124 when the time is up."""
    children = [subprocess.Popen(argv, env={**os.environ, **env}, start_new_session=True) for argv, env in commands]
    until = time.monotonic() + seconds
    result = None
    stopped = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(128 + number))
    while result is None:
        codes = [child.poll() for child in children]
        failed = [code for code in codes if code]
        if stopped:
            result = stopped[0]
        elif failed:
            result = failed[0] if failed[0] > 0 else 128 - failed[0]
        elif None not in codes:
            result = 0
        elif time.monotonic() >= until:
            result = 124
        else:
            time.sleep(0.02)
    for child in children:
        try:
            os.killpg(child.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
    for child in children:
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
    return result


def rank_commands(first, count, command):
    for local in range(count):
        yield command, {"RANK": str(first + local), "LOCAL_RANK": str(local), "LOCAL_WORLD_SIZE": str(count)}


def node_commands(ranks, seconds, names, command):
    for i, name in enumerate(names):
        first, after = ranks * i // len(names), ranks * (i + 1) // len(names)
        if after > first:
            inside = [sys.executable, os.path.abspath(__file__), "ranks", str(first), str(after - first), str(seconds)]
            yield ["ip", "netns", "exec", name, "unshare", "--uts", "--mount", "--ipc", "sh", "-c", NODE_SHELL, name,
                   *inside, *command], {}


def main():
    if sys.argv[1] == "ranks":
        first, count, seconds = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
        commands = rank_commands(first, count, sys.argv[5:])
    else:
        ranks, seconds = int(sys.argv[2]), float(sys.argv[3])
        commands = node_commands(ranks, seconds, sys.argv[4].split(","), sys.argv[5:])
    return run_gang(list(commands), seconds)


if __name__ == "__main__":
    sys.exit(main())
