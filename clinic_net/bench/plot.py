"""The judged figures as a picture: what was reached, the least that is asked for, and the floor, bar by bar (SVG)."""

from collections.abc import Iterator
from html import escape
from typing import Any

_WIDTH, _LEFT, _BAR, _ROW = 860, 270, 14, 62
_COLOURS = {"reached": "#0b6e4f", "after growth": "#6bbf9c", "floor": "#c9ced6"}


def picture(told: dict[str, Any]) -> str:
    """Return an SVG of ``report.records``' figures."""
    rows = list(_rows(told))
    longest = max(value for _, _, bars in rows for value in bars.values())
    height = 70 + _ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        'font-size="13" role="img" aria-label="Figures of clinic-net bench records">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, (name, colour) in enumerate(_COLOURS.items()):
        x = _LEFT + number * 150
        parts.append(f'<rect x="{x}" y="16" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{x + 18}" y="27" fill="#1f2933">{name}</text>')
    parts.append(f'<text x="{_LEFT + 450}" y="27" fill="#b3261e">| at least</text>')
    scale = (_WIDTH - _LEFT - 90) / longest
    for number, (work, least, bars) in enumerate(rows):
        top = 50 + number * _ROW
        parts.append(
            f'<text x="{_LEFT - 12}" y="{top + 24}" text-anchor="end" fill="#1f2933">{escape(work)}</text>'
        )
        for position, (name, value) in enumerate(bars.items()):
            parts.append(
                f'<rect x="{_LEFT}" y="{top + position * (_BAR + 2)}" width="{value * scale:.1f}" '
                f'height="{_BAR}" fill="{_COLOURS[name]}"/>'
            )
        least_at = _LEFT + least * scale
        parts.append(
            f'<line x1="{least_at:.1f}" y1="{top - 4}" x2="{least_at:.1f}" y2="{top + 3 * (_BAR + 2)}" '
            'stroke="#b3261e" stroke-width="2"/>'
        )
        for position, value in enumerate(bars.values()):
            parts.append(
                f'<text x="{_LEFT + value * scale + 6:.1f}" y="{top + position * (_BAR + 2) + 12}" fill="#1f2933" '
                f'paint-order="stroke" stroke="#ffffff" stroke-width="4">{value:,.0f}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


def _rows(told: dict[str, Any]) -> Iterator[tuple[str, float, dict[str, float]]]:
    for row in told["judged"]:
        unit = "resources/s" if row["unit"] == "resources_per_second" else "/s"
        bars = {"reached": row["reached"]}
        if "after growth" in row:
            bars["after growth"] = row["after growth"]
        if row["work"] in told.get("floor", {}):
            bars["floor"] = told["floor"][row["work"]][row["unit"]]
        yield f"{row['work']}, {unit}", row["least"], bars
