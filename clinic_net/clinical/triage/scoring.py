"""Points from printed bands, added up without filling gaps.

A chart prints whole numbers (or tenths of a degree); a device may report what lies between two bands. Then
the more severe of the two applies.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from clinic_net.clinical.triage.result import Reason

PARAMETERS: dict[str, tuple[str, str]] = {
    "respiratory_rate": ("Respiratory rate", "Nhịp thở"),
    "respiratory_effort": ("Work of breathing", "Gắng sức thở"),
    "spo2": ("Oxygen saturation", "SpO₂"),
    "oxygen": ("Supplemental oxygen", "Thở oxy"),
    "systolic": ("Systolic blood pressure", "Huyết áp tâm thu"),
    "diastolic": ("Diastolic blood pressure", "Huyết áp tâm trương"),
    "pulse": ("Pulse", "Mạch"),
    "capillary_refill": ("Capillary refill", "Thời gian đổ đầy mao mạch"),
    "consciousness": ("Consciousness", "Tri giác"),
    "temperature": ("Temperature", "Nhiệt độ"),
    "mobility": ("Mobility", "Khả năng đi lại"),
    "trauma": ("Trauma", "Chấn thương"),
    "pain": ("Pain", "Đau"),
}
"""What a reason calls each parameter, in English and Vietnamese."""


@dataclass(frozen=True, slots=True)
class Band:
    """An inclusive range of values and its points, as printed."""

    low: float
    high: float
    points: int


def bands(*rows: tuple[float | None, float | None, int]) -> tuple[Band, ...]:
    """Bands in ascending order; None is an open end."""
    return tuple(
        Band(-inf if low is None else low, inf if high is None else high, points)
        for low, high, points in rows
    )


def points_for(table: Sequence[Band], value: float) -> int:
    """The points of the band that holds the value; between two bands, the higher of both."""
    holding = [band.points for band in table if band.low <= value <= band.high]
    if holding:
        return max(holding)
    below = max((band for band in table if band.high < value), key=lambda band: band.high)
    above = min((band for band in table if band.low > value), key=lambda band: band.low)
    return max(below.points, above.points)


@dataclass(slots=True)
class Tally:
    """Points added up for one chart. ``total`` counts what was assessed, so it is a lower bound if any is missing."""

    chart: str
    total: int = 0
    highest: int = 0
    missing: list[str] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    def add(self, parameter: str, points: int | None) -> None:
        """Count one parameter; ``None`` says it was not assessed."""
        if points is None:
            self.missing.append(parameter)
            return
        self.total += points
        self.highest = max(self.highest, points)
        if points:
            self.reasons.append(points_reason(self.chart, parameter, points))

    def add_banded(self, parameter: str, table: Sequence[Band], value: float | None) -> None:
        """Count one measured parameter by its bands."""
        self.add(parameter, None if value is None else points_for(table, value))


def points_reason(chart: str, parameter: str, points: int) -> Reason:
    """``news2-pulse-2``: which parameter scored, and how much."""
    en, vi = PARAMETERS[parameter]
    return Reason(
        code=f"{chart}-{parameter}-{points}".replace("_", "-"),
        text=f"{en}: {points} point{'s' if points > 1 else ''}",
        text_vi=f"{vi}: {points} điểm",
    )


def unassessed(pairs: Iterable[tuple[str, object]]) -> list[str]:
    """The names of the fields whose value is None."""
    return [name for name, value in pairs if value is None]
