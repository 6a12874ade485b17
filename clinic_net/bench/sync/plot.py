"""The judged figures as a picture: how much of what is allowed was used, or of what is asked for was reached (SVG)."""

from html import escape
from typing import Any

_WIDTH, _LEFT, _ROW, _SCALE = 860, 330, 34, 200
"""Pixels; ``_SCALE`` is where the bound is drawn, from ``_LEFT``."""
_LONGEST = 2.2
"""Bars end here, in bounds; the number beside them does not."""


def picture(told: dict[str, Any]) -> str:
    """Return an SVG of ``report.sync``'s judged figures, each beside its bound."""
    rows = told["judged"]
    height = 56 + _ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        'font-size="13" role="img" aria-label="Figures of clinic-net bench sync">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT + _SCALE}" y="24" text-anchor="middle" fill="#b3261e">the bound</text>',
    ]
    for number, row in enumerate(rows):
        top = 40 + number * _ROW
        bound = float(row["asked"].rsplit(" ", 1)[1])
        share = min(_LONGEST, row["reached"] / bound if bound else float(row["reached"] > 0))
        colour = "#0b6e4f" if row["good"] else "#b3261e"
        parts += [
            f'<text x="{_LEFT - 12}" y="{top + 15}" text-anchor="end" fill="#1f2933">'
            f"{escape(row['row'])}, {escape(row['figure'].replace('_', ' '))}</text>",
            f'<rect x="{_LEFT}" y="{top}" width="{max(share * _SCALE, 1):.1f}" height="20" fill="{colour}"/>',
            f'<text x="{_LEFT + max(share, 1.0) * _SCALE + 8:.1f}" y="{top + 15}" fill="#1f2933">'
            f"{row['reached']:,} ({escape(row['asked'])})</text>",
        ]
    end = 40 + len(rows) * _ROW
    line = f'x1="{_LEFT + _SCALE}" y1="32" x2="{_LEFT + _SCALE}" y2="{end}"'
    return "\n".join([*parts, f'<line {line} stroke="#b3261e" stroke-width="2"/>', "</svg>", ""])
