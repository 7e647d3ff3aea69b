"""Speedup, its confidence interval and the verdict, from one number a run.

What is repeated is the run, not the step: steps of one run share its placement, its neighbours and its clocks, so
their times hang together, and an interval made of steps is far too narrow (Kalibera and Jones, Rigorous Benchmarking
in Reasonable Time, ISMM 2013, section 4: replicate at the highest level that varies). So each run counts as one
number, the logarithm of the median of its steps; of several series the mean of their logarithms.

A plain run and the preloaded one beside it make a pair; what drifts slowly meets both. The differences d_i of n pairs
give

    speedup    exp(mean d),  interval  exp(mean d -+ t(n-1) * s(d) / sqrt(n))

with Student's t for n - 1 degrees of freedom: the paired t interval (Student, Biometrika 6, 1908; NIST/SEMATECH
e-Handbook, 7.3.1). With 2 pairs it is wide, and rightly so. Ratios are judged by logarithms, so that 2 and 1/2 are
equally far from 1.

The verdict is "no difference" where the interval holds 1, and also where plain runs differ as much from plain runs
beside them (the root mean square of their logarithms' differences): the noise floor.
"""
from __future__ import annotations

import functools
import math
import statistics
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple


def student_cdf(t: float, freedom: int) -> float:
    """P(T <= t) for whole degrees of freedom: Abramowitz and Stegun 26.7.3 and 26.7.4."""
    theta = math.atan(t / math.sqrt(freedom))
    cosine, total, term = math.cos(theta), 0.0, 1.0
    if freedom % 2 == 1:
        term = cosine
        for k in range(3, freedom + 1, 2):
            total += term
            term *= cosine * cosine * (k - 1) / k
        share = (theta + math.sin(theta) * total) * 2 / math.pi
    else:
        for k in range(2, freedom + 1, 2):
            total += term
            term *= cosine * cosine * (k - 1) / k
        share = math.sin(theta) * total
    return (1 + share) / 2


@functools.lru_cache(maxsize=None)
def student_quantile(share: float, freedom: int) -> float:
    """The t with P(T <= t) = share, 0.5 <= share < 1."""
    low, high = 0.0, 1.0
    while student_cdf(high, freedom) < share:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle, freedom) < share else (low, middle)
    return high


def _exp(log: float) -> float:
    """Of logarithms that intervals of two wild pairs may come to, without overflow."""
    return math.exp(max(-700.0, min(700.0, log)))


@dataclass(frozen=True)
class Comparison:
    speedup: float
    interval: Tuple[float, float]
    verdict: str            # faster, slower, no difference
    noise: Optional[float]  # ratio by which plain runs differ from plain runs beside them; None: no two are adjacent


def noise_floor(kinds: Sequence[str], logs: Sequence[float]) -> Optional[float]:
    """Root mean square of the differences between plain runs that followed each other."""
    gaps = [logs[i + 1] - logs[i] for i in range(len(kinds) - 1) if kinds[i] == kinds[i + 1] == "plain"]
    return math.sqrt(statistics.fmean(gap * gap for gap in gaps)) if gaps else None


def compare(kinds: Sequence[str], logs: Sequence[float], confidence: float) -> Comparison:
    """kinds: "plain" or "hiermoe" of each run, in the order of the runs. logs: logarithm of each run's time.
    confidence: such as 0.95. Expects at least two runs of either kind."""
    plain = [log for kind, log in zip(kinds, logs) if kind == "plain"]
    other = [log for kind, log in zip(kinds, logs) if kind != "plain"]
    gains: List[float] = [before - after for before, after in zip(plain, other)]
    mean, pairs = statistics.fmean(gains), len(gains)
    half = student_quantile((1 + confidence) / 2, pairs - 1) * statistics.stdev(gains) / math.sqrt(pairs)
    floor = noise_floor(kinds, logs)
    verdict = "no difference"
    if abs(mean) > half and abs(mean) > (floor or 0.0):
        verdict = "faster" if mean > 0 else "slower"
    return Comparison(_exp(mean), (_exp(mean - half), _exp(mean + half)), verdict,
                      math.exp(floor) if floor is not None else None)
