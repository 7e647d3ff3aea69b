"""All runs as one object: what --json writes, and what text, HTML and rows are made of."""
from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

from report import lines as stats

from . import digits, interval
from .output import Output
from .runner import Run
from .schedule import PLAIN


@dataclass
class Result:
    """One run and what is known of it."""
    run: Run
    output: Output
    medians: Dict[str, float]  # by series, ms
    wire: Dict[str, int]       # bytes that this host's counters saw
    lines: List[stats.Line]    # statistics; none of plain runs

    @property
    def log(self) -> float:
        """Logarithm of the time: the mean over series, so that short ones count as much as long ones."""
        return statistics.fmean(map(math.log, self.medians.values()))


def _of(results: Sequence[Result], plain: bool) -> List[Result]:
    return [result for result in results if (result.run.kind == PLAIN) == plain]


def _step_ms(results: Sequence[Result], series: Optional[str] = None) -> float:
    """Median over runs; of several series their geometric mean."""
    names = list(results[0].medians) if series is None else [series]
    if len(names) == 1:
        return statistics.median(result.medians[names[0]] for result in results)
    return math.exp(statistics.median(result.log for result in results))


def _spread(results: Sequence[Result]) -> List[float]:
    return [math.exp(pick(result.log for result in results)) for pick in (min, max)]


def _wire(results: Sequence[Result]) -> Dict[str, Dict[str, float]]:
    """Mean bytes of a run by who counted them, of both kinds. Counters that stood still say nothing."""
    both: Dict[str, Dict[str, float]] = {}
    for name in ("job", "infiniband", "nvlink", "kernel"):
        means = []
        for plain in (True, False):
            counts = [result.output.wire if name == "job" else result.wire.get(name) for result in _of(results, plain)]
            known = [count for count in counts if count is not None]
            means.append(statistics.fmean(known) if len(known) == len(counts) else 0.0)
        if means[0] > 0:
            both[name] = {"plain": means[0], "hiermoe": means[1]}
    return both


def _wire_ratio(wire: Dict[str, Dict[str, float]]) -> Optional[float]:
    """By the job's own count, which holds its exchanges alone, else by the wires between hosts that carried most."""
    between = [name for name in ("infiniband", "kernel") if name in wire]
    names = ["job"] if "job" in wire else sorted(between, key=lambda each: -wire[each]["plain"])
    return wire[names[0]]["hiermoe"] / wire[names[0]]["plain"] if names else None


def _mean_ms(lines: Sequence[stats.Line], what: str) -> Optional[float]:
    """Mean time of the calls whose times are known."""
    calls = stats.total(lines, f"{what}_calls")
    return stats.total(lines, f"{what}_ms") / calls if calls else None


def _statistics(results: Sequence[Result]) -> Dict[str, Any]:
    """Counters of the preloaded runs, a run's mean; times of single calls."""
    preloaded = _of(results, False)
    lines = [line for result in preloaded for line in result.lines]
    keys = [key for key, value in (lines[0] if lines else {}).items()
            if key.startswith(("bytes_raw", "bytes_sent")) and isinstance(value, int)]
    every = [stats.world(result.lines) for result in preloaded]
    return dict(ranks=max((size for _, size in every), default=0),
                ranks_seen=min((len(seen) for seen, _ in every), default=0),
                nodes=max((line.get("nodes", 0) for line in lines), default=0),
                replaced=int(stats.total(lines, "replaced")), left=stats.left(lines), depth=stats.depth(lines),
                bytes={key: stats.total(lines, key) / max(len(preloaded), 1) for key in keys},
                all_to_all_ms=_mean_ms(lines, "measured"), plain_all_to_all_ms=_mean_ms(lines, "measured_plain"))


def _losses(results: Sequence[Result]) -> Dict[str, Any]:
    verdict = digits.judge([result.output for result in _of(results, True)],
                           [result.output for result in _of(results, False)])
    return dict(loss_equal=verdict.equal, repeats_itself=verdict.itself is None if verdict.steps else None,
                losses=dict(names=verdict.names, steps=verdict.steps,
                            difference=vars(verdict.difference) if verdict.difference else None,
                            itself=vars(verdict.itself) if verdict.itself else None))


def _run(result: Result) -> Dict[str, Any]:
    return dict(kind=result.run.kind, seconds=round(result.run.seconds, 3), step_ms=_step_ms([result]),
                steps=len(result.output.ms), series=result.medians, wire=result.wire, folder=str(result.run.folder))


def summarise(results: Sequence[Result], confidence: float) -> Dict[str, Any]:
    """Expects at least two runs of either kind, all with the same series."""
    plain, preloaded = _of(results, True), _of(results, False)
    compared = interval.compare([result.run.kind for result in results], [result.log for result in results], confidence)
    form, wire = plain[0].output.format, _wire(results)
    series = {name: dict(step_ms=_step_ms(preloaded, name), plain_step_ms=_step_ms(plain, name))
              for name in plain[0].medians}
    assert form is not None
    return dict(speedup=compared.speedup, interval=list(compared.interval), confidence=confidence,
                verdict=compared.verdict, step_ms=_step_ms(preloaded), plain_step_ms=_step_ms(plain),
                spread=dict(hiermoe=_spread(preloaded), plain=_spread(plain)), noise=compared.noise,
                format=form.name, unit=form.unit, **_losses(results), wire_ratio=_wire_ratio(wire), wire=wire,
                **_statistics(results), series=series, runs=[_run(result) for result in results])
