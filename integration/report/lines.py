"""Lines of HIERMOE_STATS_FILE, and their sums.

A line is an object (hiermoe counters lists its keys). Counters are those since the communicator was made: of the lines
with one host, process and communicator only the last one counts.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterable, List, Set, Tuple

Line = Dict[str, Any]
_OWNER = ("host", "pid", "communicator")


def read(paths: Iterable[Path]) -> List[Line]:
    """The last line of every communicator in these files. What is no such line, as the torn last one of a killed job,
    is passed over. Raises OSError."""
    last: Dict[Tuple[Any, ...], Line] = {}
    for path in paths:
        for text in path.read_text(errors="replace").splitlines():
            try:
                line = json.loads(text)
                last[tuple(line[key] for key in _OWNER)] = line
                int(line["rank"]), int(line["ranks"]), dict(line["left"]), list(line["depth"])
            except (ValueError, KeyError, TypeError):
                continue
    return [line for line in last.values() if all(key in line for key in ("rank", "ranks", "left", "depth"))]


def total(lines: Iterable[Line], key: str) -> float:
    """Sum of a counter; lines of older versions may lack it."""
    return sum(line.get(key, 0) or 0 for line in lines)


def sums(lines: Iterable[Line], key: str) -> List[int]:
    """Sum of a list, element by element; lists may differ in length."""
    whole: List[int] = []
    for line in lines:
        for i, count in enumerate(line.get(key) or []):
            if i == len(whole):
                whole.append(0)
            whole[i] += count
    return whole


def left(lines: Iterable[Line]) -> Dict[str, int]:
    """Calls left alone by reason, the most frequent first."""
    whole: Dict[str, int] = {}
    for line in lines:
        for reason, count in line["left"].items():
            whole[reason] = whole.get(reason, 0) + count
    return dict(sorted(whole.items(), key=lambda item: (-item[1], item[0])))


def depth(lines: Iterable[Line]) -> int:
    """The depth of most replaced calls; 0: none was replaced."""
    counts = sums(lines, "depth")
    return max(range(len(counts)), key=lambda d: counts[d]) if any(counts) else 0


def world(lines: Iterable[Line]) -> Tuple[Set[int], int]:
    """Ranks of the largest communicator that wrote lines, and its size. Size 0: none told its size."""
    known = list(lines)
    size = max((line["ranks"] for line in known), default=0)
    return {line["rank"] for line in known if line["ranks"] == size}, size
