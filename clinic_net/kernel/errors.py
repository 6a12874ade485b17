"""Refusals: the errors that are promises.

A refusal says, by a stable ``code``, what was refused, and by ``retry`` what the caller may do next.
Its message is for people and may change; it never holds anything about a patient. The edge (``app.py``)
maps families to HTTP statuses once, ``clinic_net.fhir.outcome`` to FHIR issue types.

::

    Refusal
    ├── Unauthenticated   who are you?
    ├── Forbidden         this kind of caller may never do this
    ├── NotFound          it does not exist, or not for this caller: the two look alike
    ├── Conflict          it is not in the state that this needs
    ├── PreconditionFailed  the version named by the caller is not the current one
    ├── Invalid           the input cannot be taken; ``places`` says where
    │   └── TooLarge
    ├── TooMany           slow down; ``retry_after`` says how long
    └── Unavailable       a part is missing for now
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Retry(StrEnum):
    """What a caller may do next. Callers branch on this, never on the message."""

    NEVER = "never"
    LATER = "later"
    UNKNOWN = "unknown"
    """It may have happened: repeat only with the same idempotency key."""


@dataclass(frozen=True)
class Place:
    """Where in the input something is wrong, and why, without quoting the input.

    ``path`` is a FHIRPath-like expression, a form field or a query parameter.
    """

    path: str
    code: str
    message: str


class Refusal(Exception):
    """Something was asked for and is refused. Subclasses set ``code``, unique in the whole program."""

    code: ClassVar[str] = "refused"
    retry: ClassVar[Retry] = Retry.NEVER

    def __init__(self, message: str, *, places: Sequence[Place] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.places = tuple(places)


class Unauthenticated(Refusal):
    code = "unauthenticated"


class Forbidden(Refusal):
    code = "forbidden"


class NotFound(Refusal):
    code = "not-found"


class Conflict(Refusal):
    code = "conflict"


class PreconditionFailed(Refusal):
    code = "precondition-failed"


class Invalid(Refusal):
    code = "invalid"


class TooLarge(Invalid):
    code = "too-large"


class TooMany(Refusal):
    """Too many attempts. ``retry_after`` is in seconds."""

    code = "too-many"
    retry = Retry.LATER

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(Refusal):
    code = "unavailable"
    retry = Retry.LATER

    for_all: ClassVar[bool] = False
    """Whether it meets whoever asks, so that of several who travel together none need try alone."""
