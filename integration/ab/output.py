"""What one run printed: its measurements, by series and step."""
from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, field
from typing import Dict, Iterable, List, Optional, Tuple

from .formats import FORMATS, NUMBER, Format, Step

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# What launchers put before a rank's line: torchrun "[rank3]:" and "[default3]:", srun -l and pdsh "3: ".
_RANK = re.compile(r"^(?:\[(?:rank|default)(\d+)\]: ?|(\d+): )")
_LOOSE = re.compile(rf"(?<![\w.])((?:\w*_)?loss|grad[_ ]norm)['\"]?\s*[:=]\s*({NUMBER})(?![\w.])", re.I)

Key = Tuple[str, int]  # series, step


@dataclass
class Output:
    """ms: the slowest time that any rank printed. digits: what all ranks printed, in sorted order, as ranks print in no
    order of theirs."""
    format: Optional[Format] = None
    ms: Dict[Key, float] = field(default_factory=dict)
    digits: Dict[Key, Dict[str, List[str]]] = field(default_factory=dict)
    wire: Optional[float] = None  # bytes of all measurements; None: the job counts none

    def wrong(self) -> bool:
        """Whether a benchmark found wrong bytes."""
        return any(count.isdigit() and int(count) > 0 for names in self.digits.values()
                   for count in names.get("#wrong", []))

    def medians(self, warmup: int) -> Dict[str, float]:
        """Median time of each series behind its first `warmup` steps. A series with no more steps is left out."""
        skip = 0 if self.format is not None and self.format.averaged else warmup
        by_series: Dict[str, List[float]] = {}
        for (series, _), ms in sorted(self.ms.items()):
            by_series.setdefault(series, []).append(ms)
        return {series: statistics.median(times[skip:]) for series, times in by_series.items() if len(times) > skip}


def _split(text: str) -> Iterable[Tuple[int, str]]:
    """Lines with the rank that printed them (0 where none is named), without colours."""
    for line in text.replace("\r\n", "\n").replace("\r", "\n").splitlines():
        line = _COLOUR.sub("", line)
        found = _RANK.match(line)
        yield (int(found[1] or found[2]), line[found.end():]) if found else (0, line)


def _take(output: Output, counts: Dict[Tuple[int, str], int], rank: int, step: Step) -> None:
    at = (rank, step.series)
    key = (step.series, step.step if step.step is not None else counts.get(at, 0))
    counts[at] = counts.get(at, 0) + 1
    output.ms[key] = max(step.ms, output.ms.get(key, 0.0))
    for name, digits in step.digits.items():
        output.digits.setdefault(key, {}).setdefault(name, []).append(digits)
    if step.wire is not None:
        output.wire = (output.wire or 0.0) + step.wire


def _loose(lines: List[Tuple[int, str]], output: Output) -> None:
    """Losses that stand apart from times, as DeepSpeed's users and Hugging Face print them: numbered as they come."""
    counts: Dict[Tuple[int, str], int] = {}
    for rank, line in lines:
        for name, digits in _LOOSE.findall(line):
            count = counts.get((rank, name), 0)
            counts[rank, name] = count + 1
            output.digits.setdefault(("", count), {}).setdefault(name, []).append(digits)


def read(text: str, given: Optional[Format] = None) -> Output:
    """The measurements of a run. given: the format of --metric. format is None where nothing was found."""
    lines = list(_split(text))
    for form in [given] if given is not None else FORMATS:
        output, counts = Output(form), {}  # type: Output, Dict[Tuple[int, str], int]
        for rank, line in lines:
            for step in form.read(line):
                _take(output, counts, rank, step)
        if output.ms:
            if not output.digits:
                _loose(lines, output)
            for names in output.digits.values():
                for all_ranks in names.values():
                    all_ranks.sort()
            return output
    return Output()
