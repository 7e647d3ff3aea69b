"""Charts as inline SVG, readable in black and white: kinds differ by pattern and by words, never by colour alone."""
from __future__ import annotations

import math
from html import escape
from typing import List, Optional, Sequence, Tuple

WIDTH, LABEL, THICK = 720, 190, 16  # pixels: of a chart, of its labels, of a bar
FILLS = ("#333", "url(#stripes)", "#bbb", "#fff")
DEFINITIONS = ('<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>'
               '<pattern id="stripes" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
               '<rect width="6" height="6" fill="#fff"/><rect width="2" height="6" fill="#333"/></pattern></defs>'
               '</svg>')


def short(value: float) -> str:
    """Four digits at most, thousands as k, M, G, T."""
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor * 0.99995:
            return f"{value / factor:.4g} {unit}"
    return f"{value:.4g}"


def _svg(height: float, title: str, parts: Sequence[str], width: float = WIDTH) -> str:
    return (f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
            f'aria-label="{escape(title)}">{"".join(parts)}</svg>')


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _legend(left: float, kinds: Sequence[str]) -> List[str]:
    """What the fills mean, in one line on top."""
    parts = []
    for i, kind in enumerate(kinds):
        x = left + i * 150
        parts.append(f'<rect x="{x:.1f}" y="4" width="14" height="12" fill="{FILLS[i]}" stroke="#333"/>')
        parts.append(text(x + 20, 15, kind))
    return parts


def bars(title: str, rows: Sequence[Tuple[str, Sequence[float]]], kinds: Sequence[str], unit: str) -> str:
    """A group of bars a row, one of each kind, on one scale from 0."""
    most = max((value for _, values in rows for value in values), default=0) or 1
    scale, parts, y = (WIDTH - LABEL - 110) / most, [], 4.0
    if len(kinds) > 1:
        parts += _legend(LABEL, kinds)
        y += 22
    for label, values in rows:
        parts.append(text(LABEL - 8, y + THICK * len(values) / 2 + 4, label, "end"))
        for i, value in enumerate(values):
            parts.append(f'<rect x="{LABEL}" y="{y:.1f}" width="{max(value * scale, 0):.1f}" height="{THICK - 2}" '
                         f'fill="{FILLS[i]}" stroke="#333"/>')
            parts.append(text(LABEL + value * scale + 6, y + THICK / 2 + 3, f"{short(value)}{unit}"))
            y += THICK
        y += 8
    return _svg(y + 4, title, parts)


def strips(title: str, rows: Sequence[Tuple[str, Sequence[float]]], unit: str) -> str:
    """A dot for each value and a bar at their median, one row a kind."""
    values = [value for _, each in rows for value in each]
    low, high = min(values), max(values)
    room = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    low, high = low - room, high + room
    scale, parts = (WIDTH - LABEL - 30) / (high - low), []
    for i, (label, each) in enumerate(rows):
        y = 20 + i * 36
        parts.append(text(LABEL - 8, y + 4, label, "end"))
        parts.append(f'<line x1="{LABEL}" y1="{y}" x2="{WIDTH - 30}" y2="{y}" stroke="#bbb"/>')
        for value in each:
            parts.append(f'<circle cx="{LABEL + (value - low) * scale:.1f}" cy="{y}" r="5" fill="{FILLS[i % 2]}" '
                         'stroke="#333"/>')
        middle = sorted(each)[len(each) // 2] if len(each) % 2 else sum(sorted(each)[len(each) // 2 - 1:][:2]) / 2
        x = LABEL + (middle - low) * scale
        parts.append(f'<line x1="{x:.1f}" y1="{y - 12}" x2="{x:.1f}" y2="{y + 12}" stroke="#000" stroke-width="2"/>')
    bottom = 20 + len(rows) * 36
    for share in (0.0, 0.5, 1.0):
        parts.append(text(LABEL + share * (WIDTH - LABEL - 30), bottom, f"{short(low + share * (high - low))}{unit}",
                          "middle"))
    return _svg(bottom + 12, title, parts)


def columns(title: str, rows: Sequence[Tuple[str, Sequence[float]]], kinds: Sequence[str]) -> str:
    """A histogram: columns of each kind side by side over the row's label."""
    most = max((value for _, values in rows for value in values), default=0) or 1
    wide, parts, floor = (WIDTH - 60) / max(len(rows), 1), [], 170.0
    parts += _legend(60, kinds)
    for at, (label, values) in enumerate(rows):
        each = wide * 0.8 / max(len(values), 1)
        for i, value in enumerate(values):
            tall = value / most * 120
            x = 50 + at * wide + i * each
            parts.append(f'<rect x="{x:.1f}" y="{floor - tall:.1f}" width="{each:.1f}" height="{tall:.1f}" '
                         f'fill="{FILLS[i]}" stroke="#333"/>')
            if value:
                parts.append(text(x + each / 2, floor - tall - 4, short(value), "middle"))
        parts.append(text(50 + at * wide + wide * 0.4, floor + 16, label, "middle"))
    return _svg(floor + 26, title, parts)


def matrix(title: str, values: Sequence[Sequence[float]], most: float, names: Optional[List[str]] = None) -> str:
    """A square of squares: the larger the square in a cell, the larger its value. Rows send, columns receive."""
    count = len(values)
    cell = max(6.0, min(48.0, 420.0 / max(count, 1)))
    parts, left = [text(60, 14, title)], 60.0
    top = 44.0
    for row, each in enumerate(values):
        if cell >= 14:
            parts.append(text(left - 6, top + row * cell + cell / 2 + 4, names[row] if names else str(row), "end"))
            parts.append(text(left + row * cell + cell / 2, top - 8, names[row] if names else str(row), "middle"))
        for column, value in enumerate(each):
            x, y = left + column * cell, top + row * cell
            side = cell * math.sqrt(max(value, 0) / most) if most > 0 else 0
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell:.1f}" height="{cell:.1f}" fill="none" '
                         'stroke="#ccc"/>')
            if side > 0:
                parts.append(f'<rect x="{x + (cell - side) / 2:.1f}" y="{y + (cell - side) / 2:.1f}" '
                             f'width="{side:.1f}" height="{side:.1f}" fill="#333">'
                             f'<title>{row} to {column}: {short(value)}B</title></rect>')
    return _svg(top + 12 + count * cell, title, parts, max(left + count * cell + 40, 160))
