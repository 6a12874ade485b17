"""Birth dates that are only partly known, and the ages they allow.

Many older people know their year of birth and nothing else. FHIR writes that ``1956``; a claim file writes
``195600000000`` (domain §2.3). An age is therefore a range, and whoever uses it takes the safer end.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

_FHIR_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")


class InvalidDate(ValueError):
    """A date that cannot be. ``code``: ``date-format``, ``date-impossible``, ``birth-in-future``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class PartialDate:
    """A date known to the year, the month or the day. A day is only known with its month."""

    year: int
    month: int | None = None
    day: int | None = None

    def __post_init__(self) -> None:
        if self.month is None and self.day is not None:
            raise InvalidDate("date-format")
        try:
            date(self.year, self.month or 1, self.day or 1)
        except ValueError:
            raise InvalidDate("date-impossible") from None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a FHIR date: ``1956``, ``1956-03`` or ``1956-03-15``. Raises InvalidDate."""
        match = _FHIR_DATE.fullmatch(text)
        if match is None:
            raise InvalidDate("date-format")
        year, month, day = match.groups()
        return cls(int(year), int(month) if month else None, int(day) if day else None)

    @classmethod
    def of(cls, day: date) -> Self:
        """The partial date that is known to the day."""
        return cls(day.year, day.month, day.day)

    def earliest(self) -> date:
        """The first day this may be."""
        return date(self.year, self.month or 1, self.day or 1)

    def latest(self) -> date:
        """The last day this may be."""
        if self.day is not None:
            return self.earliest()
        if self.month is None or self.month == 12:
            return date(self.year, 12, 31)
        return date(self.year, self.month + 1, 1) - timedelta(days=1)

    def __str__(self) -> str:
        parts = [f"{self.year:04d}", *(f"{part:02d}" for part in (self.month, self.day) if part is not None)]
        return "-".join(parts)

    def claim_text(self) -> str:
        """The 12 digits of a claim file (NGAY_SINH), zeros where unknown: ``195600000000``."""
        return f"{self.year:04d}{self.month or 0:02d}{self.day or 0:02d}0000"


@dataclass(frozen=True, slots=True)
class AgeRange:
    """The youngest and oldest a person may be, in completed years, completed months and days."""

    min_years: int
    max_years: int
    min_months: int
    max_months: int
    min_days: int
    max_days: int

    @property
    def certain(self) -> bool:
        """Whether the age in completed years is beyond doubt."""
        return self.min_years == self.max_years


def age_range(birth_date: PartialDate | date, on: date) -> AgeRange:
    """The ages that a birth date allows on the day ``on``. Raises InvalidDate ``birth-in-future``.

    A person known to be born this year is not taken to be born after ``on``. Someone born on 29 February
    completes a year on 1 March where the year has no such day.
    """
    born = birth_date if isinstance(birth_date, PartialDate) else PartialDate.of(birth_date)
    first, last = born.earliest(), min(born.latest(), on)
    if first > on:
        raise InvalidDate("birth-in-future")
    youngest, oldest = completed_months(last, on), completed_months(first, on)
    return AgeRange(
        min_years=youngest // 12,
        max_years=oldest // 12,
        min_months=youngest,
        max_months=oldest,
        min_days=(on - last).days,
        max_days=(on - first).days,
    )


def completed_months(start: date, end: date) -> int:
    """Whole months from ``start`` to ``end``; negative if ``end`` comes first."""
    return (end.year - start.year) * 12 + end.month - start.month - (end.day < start.day)
