"""Bytes that this host sent, as the kernel, InfiniBand and NVLink count them.

A host sees its own counters alone; on several hosts the figures are those of the one on which the command runs. Traffic
of others on the same interfaces is counted, too.
"""
from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Dict, Optional

WORD = 4  # port_xmit_data counts words of four bytes (InfiniBand Architecture, PortXmitData)


def _read(path: Path) -> Optional[int]:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def kernel(root: Path = Path("/sys/class/net")) -> Optional[int]:
    """Bytes sent over all interfaces but the loopback; bonds and bridges are left out, as their members count."""
    counts = [_read(each / "statistics/tx_bytes") for each in (sorted(root.iterdir()) if root.is_dir() else [])
              if each.name != "lo" and not (each / "bridge").exists() and not (each / "bonding").exists()]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def infiniband(root: Path = Path("/sys/class/infiniband")) -> Optional[int]:
    """Bytes sent by all ports, RDMA over Ethernet included."""
    known = [count for count in map(_read, root.glob("*/ports/*/counters/port_xmit_data")) if count is not None]
    return WORD * sum(known) if known else None


def nvlink_parse(text: str) -> Optional[int]:
    """Bytes sent, from what "nvidia-smi nvlink -gt d" prints: "Link 0: Data Tx: 123 KiB" of each link."""
    found = re.findall(r"Data Tx: *(\d+) *KiB", text)
    return 1024 * sum(map(int, found)) if found else None


def nvlink() -> Optional[int]:
    try:
        done = subprocess.run(["nvidia-smi", "nvlink", "-gt", "d"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return nvlink_parse(done.stdout) if done.returncode == 0 else None


def read() -> Dict[str, int]:
    """Each counter that there is."""
    every = {"kernel": kernel(), "infiniband": infiniband(), "nvlink": nvlink()}
    return {name: count for name, count in every.items() if count is not None}


def difference(before: Dict[str, int], after: Dict[str, int]) -> Dict[str, int]:
    """What was sent between two readings. A counter that went backwards, as one that wraps does, is left out."""
    return {name: after[name] - count for name, count in before.items() if after.get(name, -1) >= count}
