"""What was found, in words: the same sections as text, Markdown and HTML."""
from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from report import advice, page, svg

Figures = Dict[str, Any]


def _ms(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.4g}"


def verdict(figures: Figures) -> str:
    """The first sentence."""
    low, high = figures["interval"]
    interval = f"{100 * figures['confidence']:g} % interval {low:.3f} to {high:.3f}"
    if figures["verdict"] == "no difference":
        return f"No difference beyond noise: speedup {figures['speedup']:.3f}, {interval}."
    word = {"faster": "Faster", "slower": "Slower"}[figures["verdict"]]
    return f"{word} with the library: speedup {figures['speedup']:.3f}, {interval}."


def losses(figures: Figures) -> str:
    """What is known of losses and gradient norms."""
    said, names = figures["losses"], ", ".join(figures["losses"]["names"])
    if not said["steps"]:
        return "Nothing is known of losses: none was found in the output."
    if said["itself"]:
        return f"The job does not repeat itself either: two plain runs differ at {_difference(said['itself'])}."
    if said["difference"]:
        return f"NOT EQUAL: the preloaded job differs from the plain one at {_difference(said['difference'])}."
    return f"Equal in every digit, in {said['steps']} step{'s' if said['steps'] > 1 else ''}: {names}."


def _difference(said: Figures) -> str:
    where = f"step {said['step']}" + (f" of {said['series']}" if said["series"] else "")
    much = f" (relative difference {said['relative']:.1e})" if said["relative"] is not None else ""
    return f"{where}, {said['name']} {said['other']} instead of {said['plain']}{much}"


def _times(figures: Figures) -> List[Sequence[str]]:
    spread = {kind: " to ".join(map(_ms, figures["spread"][kind])) for kind in ("plain", "hiermoe")}
    rows: List[Sequence[str]] = [
            ("", "plain", "hiermoe", ""),
            (f"step, {figures['unit']}", _ms(figures["plain_step_ms"]), _ms(figures["step_ms"]),
             f"speedup {figures['speedup']:.3f}"),
            ("  single runs", spread["plain"], spread["hiermoe"],
             f"two plain runs differ by {100 * (figures['noise'] - 1):.1f} %" if figures["noise"] else "")]
    if figures["all_to_all_ms"] is not None:
        rows.append(("replaced all-to-all, ms", _ms(figures["plain_all_to_all_ms"]), _ms(figures["all_to_all_ms"]),
                     "mean of calls whose time is known"))
    return rows


def _bytes(figures: Figures) -> List[Sequence[str]]:
    rows: List[Sequence[str]] = []
    for key in sorted(figures["bytes"]):
        raw, sent = figures["bytes"][key], figures["bytes"].get(key.replace("raw", "sent"), 0)
        if key.startswith("bytes_raw") and raw:
            where = key[len("bytes_raw"):].replace("_", " ").strip()
            rows.append((f"replaced calls, MB {where}".strip(), f"{raw / 1e6:.2f}", f"{sent / 1e6:.2f}",
                         f"{sent / raw:.3f} of plain, all ranks"))
    whose = {"job": "all ranks, counted by the job", "kernel": "this host, the kernel's count",
             "infiniband": "this host, InfiniBand's count", "nvlink": "this host, NVLink's count"}
    for name, both in figures["wire"].items():
        rows.append(("on the wire, MB", f"{both['plain'] / 1e6:.2f}", f"{both['hiermoe'] / 1e6:.2f}",
                     f"{both['hiermoe'] / both['plain']:.3f} of plain, {whose[name]}"))
    return rows


def _calls(figures: Figures) -> page.Section:
    loaded = (f"{figures['ranks_seen']} of {figures['ranks']} ranks loaded the library" if figures["ranks"] else
              "The library was loaded, by how many ranks is not known, as communicators do not tell their size")
    words = [f"{loaded}; in all runs and on all ranks {figures['replaced']} calls were replaced, "
             f"{sum(figures['left'].values())} left alone."]
    return page.Section("Calls", words, advice.table(figures["left"]) if figures["left"] else [], words_from=2)


def _series(figures: Figures) -> page.Section:
    rows: List[Sequence[str]] = [("", "plain, ms", "hiermoe, ms", "speedup")]
    for name, each in figures["series"].items():
        rows.append((name, _ms(each["plain_step_ms"]), _ms(each["step_ms"]),
                     f"{each['plain_step_ms'] / each['step_ms']:.3f}"))
    return page.Section("Each series", table=rows)


def sections(figures: Figures) -> List[page.Section]:
    of = {kind: [run["step_ms"] for run in figures["runs"] if run["kind"] == kind] for kind in ("plain", "hiermoe")}
    found = [page.Section("", [verdict(figures), losses(figures)], _times(figures) + _bytes(figures),
                          [svg.strips("time of each run", list(of.items()), " ms")], words_from=3)]
    if len(figures["series"]) > 1:
        found.append(_series(figures))
    found.append(_calls(figures))
    found.append(page.Section("Command", [figures["command"], f"{len(figures['runs'])} runs in turns, "
                                          f"{figures['date']}; step times found as: {figures['format']}."]))
    return found


TITLE = "Plain and with HierMoE"


def text(figures: Figures) -> str:
    return page.text(TITLE, sections(figures))


def markdown(figures: Figures) -> str:
    return page.markdown(TITLE, sections(figures))


def html(figures: Figures) -> str:
    return page.html(TITLE, sections(figures))
