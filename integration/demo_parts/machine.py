"""What may spoil the times of a demo: too few processors, or others that use them."""
import os
import time

CROWDED = 8  # ranks on a core, from which on times say nothing of a cluster
BUSY = 0.2   # of all processors' time


def cores():
    return len(os.sched_getaffinity(0))


def processor_times():
    """(busy, all) of all processors since the machine started, in ticks."""
    with open("/proc/stat") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def busy_share(seconds=1.0):
    """Share of the processors' time that others take just now."""
    busy, total = processor_times()
    time.sleep(seconds)
    busy_then, total_then = processor_times()
    return (busy_then - busy) / max(1, total_then - total)


def memory_free():
    """Bytes, or None where the kernel does not say."""
    with open("/proc/meminfo") as file:
        return next((1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable:")), None)


def crowded(ranks):
    """A warning in words, or None."""
    if ranks <= CROWDED * cores():
        return None
    return (f"{ranks} ranks share {cores()} cores: times will say nothing of a cluster, only bytes will "
            f"(at most {CROWDED} ranks a core)")
