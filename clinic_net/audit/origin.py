"""Where a deed comes from: the request, the network address, the purpose and the place of whoever acts.

It accompanies a request's task, so that every event written in it says the same. What runs for several callers in one
task (a convoy) takes ``here()`` from each of them and gives it to the event.
"""

from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Origin:
    """``request`` is the request's id, ``address`` the client's, ``purpose`` a code of HL7 v3 PurposeOfUse, ``place``
    the code of the facility or site for which ``actor``, if somebody was recognised, works; ``program`` the client that
    acts in their name, if one does."""

    request: str | None = None
    address: str | None = None
    purpose: str | None = None
    place: str | None = None
    actor: str | None = None
    program: str | None = None


NOWHERE = Origin()
"""The hub's own work, and a terminal on it."""

_here: ContextVar[Origin] = ContextVar("audit_origin", default=NOWHERE)


def here() -> Origin:
    """Return where what runs now comes from."""
    return _here.get()


def arrived(origin: Origin) -> None:
    """Say where a request comes from, for the rest of this task."""
    _here.set(origin)


def acting(actor: str, *, purpose: str | None, place: str | None, program: str | None = None) -> None:
    """Say who was recognised, for what, from which place and by which program they act in the rest of this task."""
    _here.set(replace(_here.get(), actor=actor, purpose=purpose, place=place, program=program))
