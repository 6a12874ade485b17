"""Pure rules of the hub's side: what a clock's error means, which records a text speaks of."""

import re
from enum import StrEnum


class Clock(StrEnum):
    """How far a station's clock may be believed."""

    GOOD = "good"
    OFF = "off"
    """Its times are shown corrected beside what was typed."""
    UNBELIEVABLE = "unbelievable"
    """Its times are no more than what was typed."""


_OFF_MS, _UNBELIEVABLE_MS = 5 * 60 * 1000, 24 * 60 * 60 * 1000
"""Five minutes and a day: beyond them a time is flagged, and not believed (the sync reference, §4.6)."""


def clock_of(offset_ms: int) -> Clock:
    """Return what an offset says of a clock. No clinical time is ever changed for it, and no record refused."""
    if abs(offset_ms) > _UNBELIEVABLE_MS:
        return Clock.UNBELIEVABLE
    return Clock.OFF if abs(offset_ms) > _OFF_MS else Clock.GOOD


_REFERENCE = re.compile(rb'"reference"\s*:\s*"([A-Z][A-Za-z]{1,39}/[A-Za-z0-9\-.]{1,64})["/]')


def references_in(text: bytes) -> frozenset[str]:
    """Return the resources (``Type/id``) that a resource's text refers to by relative references."""
    return frozenset(found.decode("ascii") for found in _REFERENCE.findall(text))
