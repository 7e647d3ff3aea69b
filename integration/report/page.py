"""Sections as HTML and as text. A page is one file without scripts and without anything from the network."""
from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import List, Sequence

from . import svg

STYLE = """body{font:15px/1.45 system-ui,sans-serif;color:#111;background:#fff}
body{max-width:60em;margin:2em auto;padding:0 1em}
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em;border-bottom:1px solid #bbb}
table{border-collapse:collapse;margin:.6em 0}th,td{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:right}
th:first-child,td:first-child{text-align:left}td.words,th.words{text-align:left}.lead{font-size:1.15em}
svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#111}pre{white-space:pre-wrap}"""


@dataclass
class Section:
    """words: sentences. table: a heading, then rows. words_from: columns from this one on hold words, not numbers."""
    title: str
    words: List[str] = field(default_factory=list)
    table: List[Sequence[str]] = field(default_factory=list)
    charts: List[str] = field(default_factory=list)
    words_from: int = 99


def _html_table(section: Section) -> str:
    rows = []
    for number, cells in enumerate(section.table):
        if not any(cells):
            continue
        tag = "th" if number == 0 else "td"
        rows.append("<tr>" + "".join(
            f'<{tag}{" class=words" if column >= section.words_from else ""}>{escape(cell)}</{tag}>'
            for column, cell in enumerate(cells)) + "</tr>")
    return "<table>" + "".join(rows) + "</table>"


def html(title: str, sections: Sequence[Section]) -> str:
    """The whole page."""
    parts = ['<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
             '<link rel="icon" href="data:,">',  # else a browser asks for one
             f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>", svg.DEFINITIONS,
             f"<h1>{escape(title)}</h1>"]
    for number, section in enumerate(sections):
        if section.title:
            parts.append(f"<h2>{escape(section.title)}</h2>")
        lead = ' class="lead"' if number == 0 else ""
        parts += [f"<p{lead}>{escape(words)}</p>" for words in section.words]
        if section.table:
            parts.append(_html_table(section))
        if section.charts:
            parts.append(f"<p>{''.join(section.charts)}</p>")
    return "".join(parts) + "</body></html>\n"


def _widths(table: Sequence[Sequence[str]]) -> List[int]:
    return [max(len(row[i]) for row in table if i < len(row)) for i in range(max(map(len, table)))]


def text_table(table: Sequence[Sequence[str]], words_from: int = 99) -> str:
    """Numbers to the right, words to the left; a heading without words is left out."""
    widths = _widths(table)
    said = []
    for row in filter(any, table):
        cells = [cell.ljust(widths[i]) if i == 0 or i >= words_from else cell.rjust(widths[i])
                 for i, cell in enumerate(row)]
        said.append("  ".join(cells).rstrip())
    return "\n".join(said) + "\n"


def text(title: str, sections: Sequence[Section]) -> str:
    parts = [title, "=" * len(title)]
    for section in sections:
        if section.title:
            parts += ["", section.title, "-" * len(section.title)]
        parts += section.words
        if section.table:
            parts.append(text_table(section.table, section.words_from).rstrip("\n"))
    return "\n".join(parts) + "\n"


def markdown(title: str, sections: Sequence[Section]) -> str:
    parts = [f"# {title}"]
    for section in sections:
        if section.title:
            parts.append(f"## {section.title}")
        parts += section.words
        if section.table:
            rows = [[cell.replace("|", "\\|") for cell in row] for row in section.table]
            rows.insert(1, ["---"] + ["---" if i >= section.words_from else "---:" for i in range(1, len(rows[0]))])
            parts.append("\n".join("| " + " | ".join(row) + " |" for row in rows))
    return "\n\n".join(parts) + "\n"
