"""Are losses and gradient norms equal in every digit?"""
from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional

from .output import Output


@dataclass(frozen=True)
class Difference:
    """The first step that differs, and by how much; relative is None where a number is missing or not finite."""
    series: str
    step: int
    name: str
    plain: str
    other: str
    absolute: Optional[float]
    relative: Optional[float]

    def __str__(self) -> str:
        where = f"step {self.step}" + (f" of {self.series}" if self.series else "")
        much = f", relative difference {self.relative:.1e}" if self.relative is not None else ""
        return f"{where}: {self.name} {self.other} instead of {self.plain}{much}"


def _difference(series: str, step: int, name: str, plain: List[str], other: List[str]) -> Difference:
    left, right = next(((a, b) for a, b in zip(plain, other) if a != b), (" ".join(plain), " ".join(other)))
    absolute = relative = None
    try:
        gap = abs(float(left.replace(",", "")) - float(right.replace(",", "")))
        if gap == gap and gap != float("inf"):
            absolute = gap
            relative = gap / abs(float(left.replace(",", ""))) if float(left.replace(",", "")) != 0 else None
    except ValueError:
        pass
    return Difference(series, step, name, left, right, absolute, relative)


def first_difference(plain: Output, other: Output) -> Optional[Difference]:
    """None where all steps that both runs printed are equal. A run that ended earlier, for its time was up, is held
    against what there is; with no step in common nothing can be said: see comparable."""
    for key in sorted(set(plain.digits) & set(other.digits), key=lambda key: (key[1], key[0])):
        left, right = plain.digits[key], other.digits[key]
        for name in sorted(set(left) & set(right)):
            # Ranks may have printed a different number of lines when a run was cut off; that is no difference.
            if left[name] != right[name] and len(left[name]) == len(right[name]):
                return _difference(key[0], key[1], name, left[name], right[name])
    return None


def comparable(plain: Output, other: Output) -> int:
    """Steps of which both runs printed a loss or gradient norm."""
    return sum(1 for key in set(plain.digits) & set(other.digits) if set(plain.digits[key]) & set(other.digits[key]))


@dataclass(frozen=True)
class Verdict:
    """equal: None where there is nothing to compare or the job does not repeat itself either."""
    equal: Optional[bool]
    steps: int
    names: List[str]
    difference: Optional[Difference] = None  # preloaded from plain
    itself: Optional[Difference] = None      # plain from plain


def judge(plain: List[Output], preloaded: List[Output]) -> Verdict:
    """Holds every run against the first plain one."""
    first = plain[0]
    names = sorted({name for key in first.digits for name in first.digits[key]})
    steps = min((comparable(first, other) for other in [*plain[1:], *preloaded]), default=0)
    itself = next(filter(None, (first_difference(first, other) for other in plain[1:])), None)
    difference = next(filter(None, (first_difference(first, other) for other in preloaded)), None)
    equal = None if steps == 0 or itself is not None else difference is None
    return Verdict(equal, steps, names, difference, itself)
