"""A line of tests/results/jobs.jsonl."""
from __future__ import annotations

import datetime
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Optional


def _said(command: List[str]) -> Optional[str]:
    """First line that a command prints; None where it cannot."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout.strip() else None


def commit() -> Optional[str]:
    """Of the sources that this program lies in; None in an installation."""
    return _said(["git", "-C", str(Path(__file__).resolve().parent), "rev-parse", "--short", "HEAD"])


def context(command: List[str]) -> Dict[str, Any]:
    """What was measured, where and when."""
    return dict(command=shlex.join(command), date=datetime.date.today().isoformat(), commit=commit(),
                gpu=_said(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]),
                mode=os.environ.get("HIERMOE_MODE", "exact"))


def row(job: str, variant: str, figures: Dict[str, Any]) -> Dict[str, Any]:
    """gpus: ranks of one node where the number of nodes is known, else of all."""
    nodes = figures["nodes"] or 1
    return dict(job=job, variant=variant, nodes=nodes, gpus=figures["ranks"] // nodes, gpu=figures["gpu"],
                mode=figures["mode"], step_ms=round(figures["step_ms"], 4),
                plain_step_ms=round(figures["plain_step_ms"], 4), speedup=round(figures["speedup"], 4),
                replaced=figures["replaced"], left=sum(figures["left"].values()), loss_equal=figures["loss_equal"],
                date=figures["date"], commit=figures["commit"], command=figures["command"])
