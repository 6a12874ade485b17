"""Working days in Viet Nam, as data: public holidays of the Labour Code 2019, article 112.

The lunar ones differ each year, and the days given for a weekend's are decided each autumn: an operator adds what is
decided later, or swapped, with ``CLINIC_NET_HOLIDAYS``.
"""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

VIET_NAM = ZoneInfo("Asia/Ho_Chi_Minh")

_EVERY_YEAR = ((1, 1), (4, 30), (5, 1), (9, 2))
_OF_A_YEAR = frozenset(
    {
        # Tết, five days, and the day before or after National Day; Hùng Kings (10th of the third lunar month)
        *(date(2026, 2, day) for day in range(16, 21)), date(2026, 4, 26), date(2026, 4, 27), date(2026, 9, 1),
        *(date(2027, 2, day) for day in range(5, 11)), date(2027, 4, 16), date(2027, 9, 3),
    }
)  # fmt: skip
KNOWN_UNTIL = date(2027, 12, 31)
"""After this day the lunar holidays have to be given."""


def is_working_day(day: date, extra: Iterable[date] = ()) -> bool:
    """Whether offices work on a day; ``extra`` are days off that were decided since."""
    return (
        day.weekday() < 5
        and (day.month, day.day) not in _EVERY_YEAR
        and day not in _OF_A_YEAR
        and day not in set(extra)
    )


def after_working_days(since: datetime, days: int, extra: Iterable[date] = ()) -> datetime:
    """Return the end of the ``days``-th working day after the day of ``since``, in Viet Nam."""
    off, day = frozenset(extra), since.astimezone(VIET_NAM).date()
    while days:
        day += timedelta(days=1)
        days -= is_working_day(day, off)
    return _end_of(day)


def after_days(since: datetime, days: int) -> datetime:
    """Return the end of the ``days``-th calendar day after the day of ``since``, in Viet Nam."""
    return _end_of(since.astimezone(VIET_NAM).date() + timedelta(days=days))


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), VIET_NAM)
