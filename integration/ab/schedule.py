"""Which kind of run comes when, and how long the rest will take."""
from __future__ import annotations

import statistics
from typing import Dict, List, Sequence

PLAIN, PRELOADED = "plain", "hiermoe"


def order(pairs: int) -> List[str]:
    """Pairs of runs in turns, A B B A A B B A: a slow drift meets both kinds alike. Where no two plain runs follow each
    other, one more comes last: the noise floor needs such a pair."""
    kinds: List[str] = []
    for pair in range(pairs):
        kinds += [PLAIN, PRELOADED] if pair % 2 == 0 else [PRELOADED, PLAIN]
    if (PLAIN, PLAIN) not in zip(kinds, kinds[1:]):
        kinds.append(PLAIN)
    return kinds


def seconds_left(kinds: Sequence[str], seconds: Sequence[float]) -> float:
    """What the runs to come will take if each takes the mean of its kind so far, or of all where there is none yet."""
    taken: Dict[str, List[float]] = {}
    for kind, each in zip(kinds, seconds):
        taken.setdefault(kind, []).append(each)
    mean = statistics.fmean(seconds) if seconds else 0.0
    return sum(statistics.fmean(taken[kind]) if kind in taken else mean for kind in kinds[len(seconds):])


def duration(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 5 min."""
    whole = int(round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
