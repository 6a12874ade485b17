"""FHIR dates as half-open ranges of instants.

A date of any precision stands for every instant it may mean: ``2024`` for the whole year, ``2024-05-01T08:30:00Z`` for
one second. Bounds are whole microseconds since 1970-01-01T00:00:00Z, the lower included, the upper not.
A date without a zone is read in Viet Nam's only one, UTC+7 (FHIR R4 search §3.1.1.4.7: the server's local time zone).
"""

import re
from calendar import monthrange
from datetime import date

SECOND = 1_000_000
DAY = 86_400 * SECOND
LOCAL_OFFSET = 7 * 3600 * SECOND
EARLIEST = -(2**62)
LATEST = 2**62
"""The open ends of a period; they fit a PostgreSQL bigint."""

_EPOCH = date(1970, 1, 1).toordinal()
_TEXT = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)


def date_range(text: str) -> tuple[int, int]:
    """Return the range of a FHIR date, dateTime, instant or search date. Raises ValueError for anything else."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError("not a date")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if day is None:
        return _whole_days(int(year), int(month) if month else None)
    start = (date(int(year), int(month), int(day)).toordinal() - _EPOCH) * DAY
    if hour is None:
        return start - LOCAL_OFFSET, start - LOCAL_OFFSET + DAY
    if int(hour) > 23 or int(minute) > 59 or int(second or 0) > 60:
        raise ValueError("not a time of day")
    start += (int(hour) * 60 + int(minute)) * 60 * SECOND - _offset(zone)
    if second is None:
        return start, start + 60 * SECOND
    start += int(second) * SECOND
    if fraction is None:
        return start, start + SECOND
    return start + int(fraction[:6].ljust(6, "0")), start + int(fraction[:6].ljust(6, "0")) + _width(fraction)


def _whole_days(year: int, month: int | None) -> tuple[int, int]:
    first = date(year, month or 1, 1).toordinal()
    last = date(year, month or 12, monthrange(year, month)[1] if month else 31).toordinal()
    return (first - _EPOCH) * DAY - LOCAL_OFFSET, (last + 1 - _EPOCH) * DAY - LOCAL_OFFSET


def _offset(zone: str | None) -> int:
    if zone is None:
        return LOCAL_OFFSET
    if zone == "Z":
        return 0
    seconds = (int(zone[1:3]) * 60 + int(zone[4:6])) * 60
    return (-seconds if zone[0] == "-" else seconds) * SECOND


def _width(fraction: str) -> int:
    return int(10 ** max(0, 6 - len(fraction)))
