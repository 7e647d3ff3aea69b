"""Finds step times, losses and gradient norms in what a job prints.

A format looks at one line and returns the measurements on it. The table FORMATS is tried from the top: the first format
with a measurement is the job's. Times are in milliseconds. Where a framework prints a rate alone, it is the time of one
of what the rate counts: ratios are as those of step times.
"""
from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional

NUMBER = r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf|-inf"
_LOSS = re.compile(r"loss(?! ?_?scale)|grad[_ ]?norm|^aux$", re.I)


@dataclass
class Step:
    """One measurement: of a step, or a row of a benchmark's table."""
    ms: float
    step: Optional[int] = None  # None: counted as they come
    series: str = ""            # where a job times several things: a variant, a size
    digits: Dict[str, str] = field(default_factory=dict)  # losses and gradient norms as they were printed
    wire: Optional[float] = None  # bytes on the wire, where the job counts them


@dataclass(frozen=True)
class Format:
    """read returns the measurements on a line. averaged: a line stands for many iterations after a warm-up."""
    name: str
    unit: str
    read: Callable[[str], List[Step]]
    averaged: bool = False


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _json(line: str) -> List[Step]:
    """{"step": 3, "ms": 12.5, "loss": 1.25, "grad_norm": 0.5, "variant": "base"}: a job of one's own."""
    if not line.startswith("{"):
        return []
    try:
        said = json.loads(line, parse_float=str, parse_constant=str)
        return [Step(float(said["ms"]), int(said["step"]), str(said.get("variant", "")),
                     {key: str(value) for key, value in said.items() if _LOSS.search(key)})]
    except (ValueError, KeyError, TypeError):
        return []


_MEGATRON = re.compile(rf"iteration\s+(\d+)\s*/\s*\d+ \|.*?elapsed time per iteration \((ms|s)\): *({NUMBER})")


def _megatron(line: str) -> List[Step]:
    """Megatron-LM's and its forks' line of fields between bars."""
    found = _MEGATRON.search(line)
    if found is None:
        return []
    pairs = (part.rpartition(":") for part in line.split("|"))
    digits = {name.strip(): value.strip() for name, _, value in pairs if _LOSS.search(name)}
    return [Step(_number(found[3]) * (1e3 if found[2] == "s" else 1), int(found[1]), digits=digits)]


_TITAN = re.compile(rf"(?<!validate )step: *(\d+)  +loss: *({NUMBER})(?: +grad_norm: *({NUMBER}))?.* tps: *({NUMBER})")


def _titan(line: str) -> List[Step]:
    """torchtitan: step, loss, grad_norm, memory, tps (tokens of one GPU in a second)."""
    found = _TITAN.search(line)
    if found is None or _number(found[4]) <= 0:
        return []
    digits = {"loss": found[2]}
    if found[3]:
        digits["grad_norm"] = found[3]
    return [Step(1e3 / _number(found[4]), int(found[1]), digits=digits)]


_PIPELINE = re.compile(rf"steps: (\d+) loss: *({NUMBER}) iter time \(s\): *({NUMBER})")


def _deepspeed_pipeline(line: str) -> List[Step]:
    """DeepSpeed's PipelineEngine."""
    found = _PIPELINE.search(line)
    return [Step(1e3 * _number(found[3]), int(found[1]), digits={"loss": found[2]})] if found else []


_TIMER = re.compile(rf"(?:global_step=|\d/)(\d+), RunningAvgSamplesPerSec=\S+, CurrSamplesPerSec=({NUMBER})")


def _deepspeed_timer(line: str) -> List[Step]:
    """DeepSpeed's ThroughputTimer, each steps_per_print steps."""
    found = _TIMER.search(line)
    return [Step(1e3 / _number(found[2]), int(found[1]))] if found and _number(found[2]) > 0 else []


_NCCL_TESTS = re.compile(r"^ *(\d+) +\d+ +(\w+) +\w+ +-?\d+((?: +[\d.]+){3} +\S+)((?: +[\d.]+){3} +\S+)? *$")


def _nccl_tests(line: str) -> List[Step]:
    """size count type redop root, then time (us) algbw busbw #wrong, out of place and in place."""
    found = _NCCL_TESTS.match(line)
    if found is None:
        return []
    steps = []
    for place, columns in (("out of place", found[3]), ("in place", found[4])):
        time, _, _, wrong = columns.split() if columns else ("0", "", "", "")
        if float(time) > 0:
            steps.append(Step(float(time) * 1e-3, None, f"{found[1]} B {found[2]} {place}", {"#wrong": wrong}))
    return steps


_MOE_PERF = re.compile(r"^ +(dispatch|combine) +(\d+) +(\w+)((?: +[\d.]+){5}) +(\d+) +(\d+) *$")


def _moe_perf(line: str) -> List[Step]:
    """direction size type, then time min p95 (us) algbw busbw, bytes on the wire of all ranks, #wrong."""
    found = _MOE_PERF.match(line)
    if found is None:
        return []
    wire = float(found[5])
    return [Step(float(found[4].split()[0]) * 1e-3, None, found[1], {"#wrong": found[6]}, wire if wire else None)]


FORMATS = (
    Format("JSON lines", "ms", _json),
    Format("Megatron", "ms", _megatron),
    Format("torchtitan", "ms per token of a GPU", _titan),
    Format("DeepSpeed pipeline", "ms", _deepspeed_pipeline),
    Format("DeepSpeed", "ms per sample", _deepspeed_timer),
    Format("nccl-tests", "ms", _nccl_tests, averaged=True),
    Format("moe_perf", "ms", _moe_perf, averaged=True),
)


def metric_format(pattern: str) -> Format:
    """The format of --metric: groups named ms, s, us or rate, else the first group in ms; also step, series, loss and
    grad_norm. Raises ValueError (re.error is one of them) where the pattern has no group for a number."""
    compiled = re.compile(pattern)
    names = [name for name in ("ms", "s", "us", "rate") if name in compiled.groupindex]
    if compiled.groups == 0 or len(names) > 1:
        raise ValueError("expected one group for the number, such as 'took (?P<ms>[0-9.]+)': ms, s, us or rate")
    group = names[0] if names else 1
    factor = {"s": 1e3, "us": 1e-3}.get(names[0] if names else "ms", 1.0)

    def read(line: str) -> List[Step]:
        found = compiled.search(line)
        if found is None or found[group] is None:
            return []
        try:
            number = _number(found[group])
        except ValueError:
            return []
        if number <= 0:
            return []
        said = {name: text for name, text in found.groupdict().items() if text is not None}
        return [Step(1e3 / number if group == "rate" else number * factor,
                     int(said["step"]) if said.get("step", "").isdigit() else None, said.get("series", ""),
                     {name: said[name] for name in ("loss", "grad_norm") if name in said})]

    return Format("--metric", "ms, as a second over the rate" if group == "rate" else "ms", read)
