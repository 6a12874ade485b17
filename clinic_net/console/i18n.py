"""Languages of the pages, and how times and numbers look in Viet Nam.

Message identifiers are English; the catalogues are under ``locale/`` and are compiled at set-up and at build.
"""

import gettext
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from starlette.requests import HTTPConnection

LANGUAGES = ("vi", "en")
"""The first is the default."""

LANGUAGE_COOKIE = "clinic_net_language"

_LOCALE = Path(__file__).parent / "locale"
VIET_NAM = ZoneInfo("Asia/Ho_Chi_Minh")


@cache
def translations(language: str) -> gettext.NullTranslations:
    """Return a language's catalogue; English is what the identifiers say."""
    return gettext.translation("messages", str(_LOCALE), languages=[language], fallback=language != "vi")


def N_(message: str) -> str:
    """Mark an identifier for the catalogues; whoever shows it translates it."""
    return message


def language_of(connection: HTTPConnection, *, default: str = "") -> str:
    """Return the language that this browser chose, else ``default`` (the account's), else Vietnamese."""
    for language in (connection.cookies.get(LANGUAGE_COOKIE, ""), default):
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


def local_time(instant: datetime | None) -> str:
    """Return an instant as people in Viet Nam write it, ``dd/MM/yyyy HH:mm``."""
    return instant.astimezone(VIET_NAM).strftime("%d/%m/%Y %H:%M") if instant else ""


def written_time(text: str) -> str:
    """Return an instant of FHIR as :func:`local_time` writes it; what is none is shown as it is."""
    try:
        return local_time(datetime.fromisoformat(text))
    except ValueError:
        return text


def local_day(instant: datetime) -> date:
    """Return the day that an instant falls on in Viet Nam."""
    return instant.astimezone(VIET_NAM).date()


def clock_time(instant: datetime | None) -> str:
    """Return an instant's time of day in Viet Nam, ``HH:mm:ss``."""
    return instant.astimezone(VIET_NAM).strftime("%H:%M:%S") if instant else ""


def duration(length: timedelta | float | None) -> str:
    """Return a length (a number: seconds) as ``m:ss`` or ``h:mm:ss``; negative ones with a minus sign."""
    if length is None:
        return ""
    seconds = int(length.total_seconds() if isinstance(length, timedelta) else length)
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{sign}{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{sign}{minutes}:{seconds:02d}"
