"""What the statistics of all ranks say: one function a section, None where there is no data for it."""
from __future__ import annotations

import datetime
import statistics
from typing import Callable, List, Optional, Sequence, Tuple

from . import advice, lines, svg
from .lines import Line
from .page import Section

Lines = Sequence[Line]
_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def size(count: float) -> str:
    """Bytes in words."""
    for factor, unit in _UNITS:
        if abs(count) >= factor:
            return f"{count / factor:.4g} {unit}"
    return f"{count:g} B"


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _each(found: Lines, key: str) -> List[str]:
    return sorted({str(line[key]) for line in found if line.get(key) not in (None, "")})


def _when(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def summary(found: Lines) -> Section:
    """What it was, and what came of it."""
    ranks, world = lines.world(found)
    replaced, left = int(lines.total(found, "replaced")), sum(lines.left(found).values())
    nodes = max((line.get("nodes", 0) for line in found), default=0)
    words = [f"{len(ranks)} of {world} ranks" + (f" on {nodes} node{'s' if nodes > 1 else ''}" if nodes else "") +
             f": {replaced} all-to-alls replaced, {left} left alone, on all ranks together."]
    raw, sent = (lines.total(found, f"bytes_{kind}_between_nodes") for kind in ("raw", "sent"))
    if raw:
        words.append(f"Between nodes went {size(sent)} instead of {size(raw)}: {percent(sent, raw)}.")
    if len(ranks) < world:
        missing = ", ".join(str(rank) for rank in range(world) if rank not in ranks)
        words.append(f"No statistics of rank {missing}: all figures are those of the others.")
    return Section("", words)


def origin(found: Lines) -> Optional[Section]:
    rows: List[Sequence[str]] = [("", "")]
    for name, key in (("version of the library", "version"), ("NCCL", "nccl"), ("profile", "profile"),
                      ("hosts", "host")):
        values = _each(found, key)
        if values:
            more = f" and {len(values) - 8} more" if len(values) > 8 else ""
            rows.append((name, ", ".join(values[:8]) + more))
    began = [line["began"] for line in found if line.get("began")]
    times = [line["time"] for line in found if line.get("time")]
    if began and times:
        rows.append(("from", _when(min(began))))
        rows.append(("until", _when(max(times))))
    words = ["Ranks have different versions of the library: they leave all calls alone."] \
        if len(_each(found, "version")) > 1 else []
    killed = sum(1 for line in found if line.get("event") == "interval")
    if killed:
        words.append(f"{killed} of {len(found)} communicators wrote no last line: they go on, or their process was "
                     "killed.")
    return Section("Where it comes from", words, rows, words_from=1) if len(rows) > 1 else None


def calls(found: Lines) -> Optional[Section]:
    depths = lines.sums(found, "depth")
    rows = [(f"replaced at depth {depth}", float(count)) for depth, count in enumerate(depths) if count]
    alone = float(sum(lines.left(found).values()))
    if alone:
        rows.append(("left alone", alone))
    if not rows:
        return None
    whole = sum(count for _, count in rows)
    table: List[Sequence[str]] = [("", "calls", "share")]
    table += [(name, f"{count:.0f}", percent(count, whole)) for name, count in rows]
    return Section("Calls", ["On all ranks. Depth 1 sends a row once to each rank, depth 2 once to each node."],
                   table, [svg.bars("calls", [(name, [count]) for name, count in rows], ["calls"], "")])


def reasons(found: Lines) -> Optional[Section]:
    left = lines.left(found)
    return Section("Why calls were left alone", [], advice.table(left), words_from=2) if left else None


def _mean(found: Lines, what: str, part: str = "ms") -> Optional[float]:
    count = lines.total(found, f"{what}_calls")
    return lines.total(found, f"{what}_{part}") / count if count else None


def times(found: Lines) -> Optional[Section]:
    """By kind of call. Times are agreed on by all ranks, so their mean over ranks is that of the calls."""
    rows: List[Tuple[str, Optional[float]]] = [
        ("replaced", _mean(found, "measured")), ("  until all ranks agreed", _mean(found, "measured", "agree_ms")),
        ("  predicted for them", _mean(found, "measured", "predicted_ms")),
        ("left alone", _mean(found, "measured_plain"))]
    known = [(name, value) for name, value in rows if value is not None]
    if not known:
        return None
    table: List[Sequence[str]] = [("mean of a call on its slowest rank", "ms")]
    table += [(name, f"{value:.3f}") for name, value in known]
    return Section("Time", ["Of calls whose time is known. Those left alone may be others than those replaced."],
                   table, [svg.bars("mean time of a call", [(name.strip(), [value]) for name, value in known], ["ms"],
                                    " ms")])


def _bucket(index: int) -> str:
    """The upper end of a bucket."""
    us = 2 ** index
    return f"{us} us" if us < 1000 else f"{us / 1e3:.3g} ms" if us < 1e6 else f"{us / 1e6:.3g} s"


def histogram(found: Lines) -> Optional[Section]:
    kinds = [lines.sums(found, key) for key in ("measured_log2_us", "measured_plain_log2_us")]
    used = [i for counts in kinds for i, count in enumerate(counts) if count]
    if not used:
        return None
    rows = [(_bucket(i), [float(counts[i]) if i < len(counts) else 0.0 for counts in kinds])
            for i in range(min(used), max(used) + 1)]
    table: List[Sequence[str]] = [("less than", "replaced", "left alone")]
    table += [(name, *(f"{count:.0f}" for count in counts)) for name, counts in rows]
    return Section("How times spread", ["Calls by time, all ranks; each column reaches up to its label."], table,
                   [svg.columns("calls by time", rows, ["replaced", "left alone"])])


def traffic(found: Lines) -> Optional[Section]:
    """Bytes by level, as NCCL would have sent them and as they were sent."""
    whole = [lines.total(found, f"bytes_{kind}") for kind in ("raw", "sent")]
    if not whole[0]:
        return None
    levels = [("all", whole)]
    if any("bytes_raw_between_nodes" in line for line in found):
        outer = [lines.total(found, f"bytes_{kind}_between_nodes") for kind in ("raw", "sent")]
        levels += [("between nodes", outer), ("inside nodes", [max(w - o, 0.0) for w, o in zip(whole, outer)])]
    table: List[Sequence[str]] = [("", "plain, bytes", "sent, bytes", "plain", "sent", "of plain")]
    table += [(name, f"{raw:.0f}", f"{sent:.0f}", size(raw), size(sent), percent(sent, raw))
              for name, (raw, sent) in levels]
    rows, distinct = lines.total(found, "rows"), lines.total(found, "distinct")
    words = ["Bytes of replaced calls from rank to rank, and what NCCL would have sent. Inside nodes more may go than "
             "before: a row that came once is handed on there."]
    if rows:
        words.append(f"Of {rows:.0f} rows that were compared {percent(distinct, rows)} were different ones.")
    return Section("Bytes by level", words, table,
                   [svg.bars("bytes by level", [(name, both) for name, both in levels], ["plain", "sent"], "B")])


def _matrix(found: Lines, nodes: int, key: str) -> List[List[float]]:
    whole = [[0.0] * nodes for _ in range(nodes)]
    for line in found:
        if line.get("nodes") != nodes:
            continue
        for node, count in enumerate((line.get(key) or [])[:nodes]):
            whole[line["node"]][node] += count
    return whole


def matrix(found: Lines) -> Optional[Section]:
    """Which node sent how much to which, before and after; of communicators that span the most nodes."""
    nodes = max((line.get("nodes", 0) for line in found if line.get("bytes_raw_to_node")), default=0)
    if nodes < 2:
        return None
    both = [_matrix(found, nodes, f"bytes_{kind}_to_node") for kind in ("raw", "sent")]
    most = max(value for each in both for row in each for value in row)
    table: List[Sequence[str]] = [("from node", "to others, plain", "to others, sent", "of plain")]
    for node in range(nodes):
        raw, sent = (sum(each[node]) - each[node][node] for each in both)
        table.append((str(node), size(raw), size(sent), percent(sent, raw)))
    words = ["Rows send, columns receive; the area of a square is its bytes, on one scale. First what NCCL would have "
             "sent, then what was sent."]
    return Section("Traffic from node to node", words, table,
                   [svg.matrix("plain", both[0], most), svg.matrix("sent", both[1], most)])


def prediction(found: Lines) -> Optional[Section]:
    plain, planned = lines.total(found, "predicted_plain_ms"), lines.total(found, "predicted_ms")
    count = lines.total(found, "predicted_calls")
    if not count or not plain:
        return None
    observe = lines.left(found).get("observe", 0) > 0
    words = [f"Of {count:.0f} calls whose time was predicted: {plain / count:.3f} ms a call if left alone, "
             f"{planned / count:.3f} ms as planned, a gain of {percent(plain - planned, plain)}."]
    if observe:
        words.append("The job ran in observe mode: nothing was replaced, this is what is to be had.")
    table: List[Sequence[str]] = [("all ranks together", "ms"), ("left alone", f"{plain:.3f}"),
                                  ("as planned", f"{planned:.3f}"), ("saved", f"{plain - planned:.3f}")]
    return Section("Predicted gain", words, table)


def skew(found: Lines) -> Optional[Section]:
    """How far ranks differ, those of the largest communicator."""
    _, world = lines.world(found)
    of = {line["rank"]: line for line in found if line["ranks"] == world}
    table: List[Sequence[str]] = [("", "least", "median", "most", "most over mean", "most on rank")]
    charts = []
    for name, key in (("bytes, plain", "bytes_raw"), ("bytes sent", "bytes_sent"), ("rows compared", "rows"),
                      ("calls replaced", "replaced")):
        values = {rank: float(line.get(key, 0)) for rank, line in of.items()}
        if len(values) < 2 or not any(values.values()):
            continue
        most = max(values, key=lambda rank: values[rank])
        show = size if key.startswith("bytes") else svg.short
        table.append((name, show(min(values.values())), show(statistics.median(values.values())), show(values[most]),
                      f"{values[most] / statistics.fmean(values.values()):.3f}", str(most)))
        if key.startswith("bytes"):
            charts.append((name, list(values.values())))
    if len(table) == 1:
        return None
    return Section("Ranks compared", ["A dot a rank, the bar is the median. A call waits for the busiest rank."],
                   table, [svg.strips("bytes of each rank", charts, "B")] if charts else [])


def counters(found: Lines) -> Section:
    """Every counter, known to this program or not, summed over ranks."""
    skip = {"rank", "ranks", "node", "nodes", "pid", "communicator", "time", "began", "nccl"}
    keys = [key for line in found[:1] for key, value in line.items()
            if key not in skip and isinstance(value, (int, float)) and not isinstance(value, bool)]
    table: List[Sequence[str]] = [("counter", "sum over all ranks and communicators")]
    table += [(key, f"{lines.total(found, key):.3f}" if key.endswith("_ms") else f"{lines.total(found, key):.0f}")
              for key in keys]
    return Section("All counters", ["hiermoe counters says what each of them means."], table)


SECTIONS: Sequence[Callable[[Lines], Optional[Section]]] = (
    summary, origin, calls, reasons, times, histogram, traffic, matrix, prediction, skew, counters)


def every(found: Lines) -> List[Section]:
    """The sections with data, in order."""
    made = [section(found) for section in SECTIONS]
    return [section for section in made if section is not None]
