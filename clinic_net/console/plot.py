"""A small plot of one vital sign as SVG: axes with units, every value readable, the normal band shaded. Pure."""

from dataclasses import dataclass
from datetime import datetime
from math import ceil, floor

from clinic_net.console.i18n import local_time
from clinic_net.console.record import Series

WIDTH, HEIGHT = 320, 132
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 12, 14, 22
"""Pixels, for axis labels."""

SHOWN = 8
"""The newest readings that fit legibly at 360 px."""


@dataclass(frozen=True)
class Point:
    """A reading's place: pixels, and what to write at it."""

    x: float
    y: float
    label: str
    when: str


@dataclass(frozen=True)
class Plot:
    """What the template draws. ``band`` is (y of its top, height), ``ticks`` are (y, label)."""

    points: tuple[Point, ...]
    ticks: tuple[tuple[float, str], ...]
    band: tuple[float, float] | None
    first: str
    last: str

    @property
    def line(self) -> str:
        """The points as an SVG ``points`` attribute."""
        return " ".join(f"{point.x:.1f},{point.y:.1f}" for point in self.points)


def plot(series: Series) -> Plot:
    """Lay out the newest readings, evenly spaced in order of time: visits cluster, and clusters are unreadable."""
    readings = series.readings[-SHOWN:]
    values = [reading.value for reading in readings]
    low, high = min(values), max(values)
    if series.low is not None and series.high is not None:
        low, high = min(low, series.low), max(high, min(series.high, low + 2 * (series.high - series.low)))
    bottom, top = _rounded(low, high)
    inner_width, inner_height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def x(index: int) -> float:
        return _LEFT + inner_width * (0.5 if len(readings) == 1 else index / (len(readings) - 1))

    def y(value: float) -> float:
        return _TOP + inner_height * (top - value) / (top - bottom)

    band = None
    if series.low is not None and series.high is not None:
        upper, lower = min(series.high, top), max(series.low, bottom)
        if upper > lower:
            band = (y(upper), y(lower) - y(upper))
    return Plot(
        points=tuple(
            Point(x(index), y(reading.value), f"{reading.value:.{series.decimals}f}", local_time(reading.at))
            for index, reading in enumerate(readings)
        ),
        ticks=tuple((y(value), f"{value:g}") for value in (bottom, (bottom + top) / 2, top)),
        band=band,
        first=_day(readings[0].at),
        last=_day(readings[-1].at),
    )


def _rounded(low: float, high: float) -> tuple[float, float]:
    """Return round bounds around the values, never equal."""
    span = max(high - low, 1)
    unit = 1 if span <= 4 else 5 if span <= 30 else 10
    bottom, top = floor(low / unit) * unit, ceil(high / unit) * unit
    return (bottom - unit, top + unit) if bottom == top else (bottom, top)


def _day(at: datetime) -> str:
    return local_time(at)[:5]
